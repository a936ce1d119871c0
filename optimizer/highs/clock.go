package highs

import "time"

const (
	// readNS is how far the guest's clock moves each time it is read, so that it never stands still.
	readNS = 1
	// workNS is how far it moves with each unit of work: a nanosecond for each round of a loop, which is about the truth.
	workNS = loopsPerYield
	// clockStartNS is where the clock stands at the start of a Run. HiGHS marks a running clock by a negative start time, so it may not be 0.
	clockStartNS = 1_000_000_000
	// timeLimitSeconds is HiGHS's time limit in every Run: more than work alone will reach.
	timeLimitSeconds = 1e7
	// clockJumpNS takes the clock past timeLimitSeconds.
	clockJumpNS = 20_000_000_000_000_000
)

// clock is the time that the guest sees. It counts work, so it is the same on every machine. Stopping a Run means to move it past
// HiGHS's time limit.
type clock struct {
	now       uint64    // ns
	work      int64     // units in this Run
	workLimit int64     // 0: none
	deadline  time.Time // zero: none
	stopped   Status    // StatusWorkLimit or StatusTimeLimit once the Run was told to stop, else StatusUnknown
}

// start begins a Run.
func (c *clock) start(workLimit int64, deadline time.Time) {
	*c = clock{now: clockStartNS, workLimit: workLimit, deadline: deadline}
}

// read is what the guest gets to see.
func (c *clock) read() uint64 {
	c.now += readNS
	return c.now
}

// tick counts a unit of work and moves the clock past the time limit once the Run's own limits are reached.
func (c *clock) tick() {
	c.work++
	c.now += workNS
	switch {
	case c.stopped != StatusUnknown:
	case c.workLimit > 0 && c.work >= c.workLimit:
		c.stopped = StatusWorkLimit
		c.now += clockJumpNS
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		c.stopped = StatusTimeLimit
		c.now += clockJumpNS
	}
}
