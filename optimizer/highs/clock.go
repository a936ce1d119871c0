package highs

import "time"

const (
	// readNS is how far the guest's clock moves each time it is read, so that it never stands still.
	readNS = 1
	// workNS is how far it moves with each unit of work, which is about the truth.
	workNS = 100_000
	// clockStartNS is where the clock stands at the start of a Run. HiGHS marks a running clock by a negative start time, so it may not be 0.
	clockStartNS = 1_000_000_000
	// timeLimitSeconds is HiGHS's time limit in every Run: more than work alone will reach.
	timeLimitSeconds = 100_000.0
	// clockJumpNS takes the clock past timeLimitSeconds.
	clockJumpNS = 200_000_000_000_000
	// clockEndNS is where jumping ends, so that HiGHS's 64-bit nanoseconds do not overflow.
	clockEndNS = 9_000_000_000_000_000_000
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

// read is what the guest gets to see. Once the Run was told to stop, each reading lies past the time limit from the one before,
// because HiGHS starts new timers for parts of its work.
func (c *clock) read() uint64 {
	c.now += readNS
	if c.stopped != StatusUnknown && c.now < clockEndNS-clockJumpNS {
		c.now += clockJumpNS
	}
	return c.now
}

// tick counts a unit of work and tells the Run to stop once its limits are reached.
func (c *clock) tick() {
	c.work++
	c.now += workNS
	switch {
	case c.stopped != StatusUnknown:
	case c.workLimit > 0 && c.work >= c.workLimit:
		c.stopped = StatusWorkLimit
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		c.stopped = StatusTimeLimit
	}
}
