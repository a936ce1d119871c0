package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"purser"
	"purser/agent/notice"
	"purser/api"
)

// Run works for a lease until it is drained. It returns nil when it was ordered to
// end or ctx ended; conflict when another agent works for the lease; the server's
// error when it was refused; unavailable when there was no server for GiveUp.
func Run(ctx context.Context, c Config) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	for _, dir := range []string{c.Dir, c.CheckpointRoot} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return purser.Errorf(purser.KindInternal, "agent.Run", "a folder cannot be made: %w", err)
		}
	}
	held, err := lock(c.Dir, c.Lease)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	if _, err := os.Stat(filepath.Join(c.Dir, terminatedFile)); !errors.Is(err, fs.ErrNotExist) {
		return purser.Errorf(purser.KindStale, "agent.Run", "lease %s was ended before its agent began", c.Lease)
	}
	if err := endLeftovers(c.Dir); err != nil {
		return purser.Wrap(purser.KindInternal, "agent.Run", err)
	}
	a, err := newAgent(c)
	if err != nil {
		return err
	}
	joined, err := a.join(ctx)
	if ctx.Err() != nil {
		return nil // ended before there was anything to do
	}
	if err != nil {
		return err
	}
	c.Logger.InfoContext(ctx, "agent joined", "lease", c.Lease, "instance_type", joined.Lease.Offer.InstanceType)
	defer a.watch(ctx)()
	return a.loop(ctx)
}

// terminatedFile is left in an agent's folder by the provider that ended the lease.
const terminatedFile = "terminated"

// agent is the state of a running agent. Only its loop touches it.
type agent struct {
	Config
	server    Server
	secret    string
	journal   *journal
	rehearsal bool

	runs    map[purser.TaskID]*run
	order   []purser.TaskID // of runs, as they came
	devices *devices

	endings chan ending
	replies chan reply
	notices chan notice.Notice
	notice  *api.AgentNotice   // what the cloud said and the server does not know yet
	gone    chan struct{}      // closed when the loop has ended
	hangUp  context.CancelFunc // of the report in flight

	lastHeard time.Time
	draining  bool
	why       error     // what Run returns after the drain
	deadline  time.Time // of the drain
	mute      bool      // the server has refused us: nothing more to say
}

// reply is the answer to one report.
type reply struct {
	sent   api.AgentReport
	orders api.AgentOrders
	err    error
}

func newAgent(c Config) (*agent, error) {
	secret, err := secret(c.Dir)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(c.Dir, c.Lease)
	if err != nil {
		return nil, err
	}
	a := &agent{
		Config: c, secret: secret, journal: j, devices: newDevices(c.Shape.Devices),
		runs: map[purser.TaskID]*run{}, endings: make(chan ending), replies: make(chan reply, 1), notices: make(chan notice.Notice),
		gone: make(chan struct{}), hangUp: func() {},
	}
	return a, a.recall()
}

// recall takes up what an earlier agent of the lease left: ends that were not
// acknowledged are reported again, and what was running has been lost with it.
func (a *agent) recall() error {
	for _, id := range slices.Sorted(maps.Keys(a.journal.Tasks)) {
		e := a.journal.Tasks[id]
		rep := e.Report
		if !rep.State.Ended() {
			rep.State, rep.Reason, rep.EndedAt = purser.TaskLost, "its agent ended and was started again", a.Now().UTC()
			if e.Checkpoints != "" && holdsAnything(e.Checkpoints) {
				rep.Checkpoint = e.Checkpoints
			}
			e.Report = rep
			if err := a.journal.put(id, e); err != nil {
				return err
			}
		}
		r := &run{report: rep, log: newTaskLog(id, a.LogMemory, a.Now), stop: func() {}}
		r.folders.own = filepath.Join(a.Dir, "tasks", fileName(string(id)))
		a.runs[id] = r
		a.order = append(a.order, id)
	}
	return nil
}

// join makes the agent known. It is repeated until the server answers, for as long
// as the agent would do without one.
func (a *agent) join(ctx context.Context) (api.AgentJoined, error) {
	host, _ := os.Hostname() // a name for people; empty does no harm
	begun := a.Now()
	giveUp := a.GiveUp
	if giveUp <= 0 {
		giveUp = defaultGiveUp
	}
	for try := 0; ; try++ {
		call, cancel := context.WithTimeout(ctx, a.CallTimeout)
		joined, err := a.Dial(a.JoinToken).Join(call, api.AgentJoin{Lease: a.Lease, Secret: a.secret, Host: host, PID: os.Getpid(), Version: a.Version})
		cancel()
		switch {
		case err == nil:
			a.welcome(joined)
			return joined, nil
		case ctx.Err() != nil:
			return joined, ctx.Err()
		case refuses(err):
			return joined, fmt.Errorf("the server refuses the agent of lease %s: %w", a.Lease, err)
		case a.Now().Sub(begun) > giveUp:
			return joined, fmt.Errorf("no server for %s: %w", giveUp, err)
		}
		select {
		case <-ctx.Done():
			return joined, ctx.Err()
		case <-time.After(min(200*time.Millisecond<<min(try, 4), 2*time.Second)):
		}
	}
}

const (
	defaultReportEvery = time.Second
	defaultGiveUp      = 120 * time.Second
)

func (a *agent) welcome(j api.AgentJoined) {
	a.server = a.Dial(a.secret)
	a.rehearsal = j.Lease.Rehearsal
	a.lastHeard = a.Now()
	if a.ReportEvery <= 0 {
		a.ReportEvery = time.Duration(j.ReportEveryMs) * time.Millisecond
	}
	if a.ReportEvery <= 0 {
		a.ReportEvery = defaultReportEvery
	}
	if a.GiveUp <= 0 {
		a.GiveUp = time.Duration(j.GiveUpMs) * time.Millisecond
	}
	if a.GiveUp <= 0 {
		a.GiveUp = defaultGiveUp
	}
}

// refuses says whether the server will have nothing to do with this agent, now or
// later.
func refuses(err error) bool {
	switch purser.KindOf(err) {
	case purser.KindUnauthorized, purser.KindForbidden, purser.KindStale, purser.KindNotFound:
		return true
	default:
		return false
	}
}
