package agent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/api"
)

// server is a server in memory that keeps to the contract of reports: it takes
// reports more than once, orders whole, and leaves out what has ended.
type server struct {
	mu      sync.Mutex
	secret  string // of the agent that joined
	joins   int
	reports int
	tasks   map[purser.TaskID]*serverTask
	drain   bool
	refuse  error                                // answer to every call
	fault   func(call int) (before, after error) // of each report, counted from 1
	watch   func()                               // after each report
	lines   map[purser.TaskID][]api.LogLine
	faults  []string // broken promises of the agent
	notices []api.AgentNotice
	changed chan struct{}
	lease   purser.Lease
}

type serverTask struct {
	spec   api.TaskSpec
	report api.TaskReport
	stop   bool
	gone   bool // no longer wanted on this lease
	states []purser.TaskState
}

func newServer() *server {
	return &server{tasks: map[purser.TaskID]*serverTask{}, lines: map[purser.TaskID][]api.LogLine{}, changed: make(chan struct{}, 1), lease: purser.Lease{ID: "lease-1", Rehearsal: true}}
}

// dialled is the server as one bearer sees it.
type dialled struct {
	*server
	token string
}

func (s *server) dial(token string) Server { return dialled{s, token} }

func (d dialled) Join(_ context.Context, j api.AgentJoin) (api.AgentJoined, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.poke()
	d.joins++
	switch {
	case d.refuse != nil:
		return api.AgentJoined{}, d.refuse
	case d.token != "join":
		return api.AgentJoined{}, purser.Errorf(purser.KindUnauthorized, "join", "unknown token")
	case d.secret != "" && d.secret != j.Secret:
		return api.AgentJoined{}, purser.Errorf(purser.KindForbidden, "join", "another agent has joined")
	}
	d.secret = j.Secret
	return api.AgentJoined{Lease: d.lease, ReportEveryMs: 20, GiveUpMs: 60_000}, nil
}

func (d dialled) Report(ctx context.Context, r api.AgentReport) (api.AgentOrders, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.poke()
	d.reports++
	if err := ctx.Err(); err != nil {
		return api.AgentOrders{}, err
	}
	if d.refuse != nil {
		return api.AgentOrders{}, d.refuse
	}
	if d.token != d.secret {
		return api.AgentOrders{}, purser.Errorf(purser.KindUnauthorized, "report", "unknown secret")
	}
	var after error
	if d.fault != nil {
		var before error
		if before, after = d.fault(d.reports); before != nil {
			return api.AgentOrders{}, before
		}
	}
	d.take(r)
	if d.watch != nil {
		d.watch()
	}
	if after != nil {
		return api.AgentOrders{}, after
	}
	return d.orders(), nil
}

func (s *server) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *server) complain(format string, a ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, a...))
}

func (s *server) take(r api.AgentReport) {
	if r.Notice != nil {
		s.notices = append(s.notices, *r.Notice)
	}
	for _, l := range r.Logs {
		have := s.lines[l.Task]
		switch next := int64(len(have)) + 1; {
		case l.Seq < next:
			if old := have[l.Seq-1]; old.Text != l.Text || old.Stream != l.Stream {
				s.complain("line %d of %s came as %q and as %q", l.Seq, l.Task, old.Text, l.Text)
			}
		case l.Seq > next:
			s.complain("line %d of %s came after line %d", l.Seq, l.Task, next-1)
		default:
			s.lines[l.Task] = append(have, l)
		}
	}
	for _, t := range r.Tasks {
		x := s.tasks[t.Task]
		if x == nil {
			s.complain("report of unknown task %s", t.Task)
			continue
		}
		if x.report.State.Ended() {
			if t.State != x.report.State {
				s.complain("task %s ended as %s and then as %s", t.Task, x.report.State, t.State)
			}
			continue
		}
		if len(x.states) == 0 || x.states[len(x.states)-1] != t.State {
			x.states = append(x.states, t.State)
		}
		x.report = t
	}
}

func (s *server) orders() api.AgentOrders {
	o := api.AgentOrders{Run: []api.TaskSpec{}, Stop: []purser.TaskID{}, Drain: s.drain}
	for id, t := range s.tasks {
		if t.report.State.Ended() || t.gone {
			continue
		}
		o.Run = append(o.Run, t.spec)
		if t.stop {
			o.Stop = append(o.Stop, id)
		}
	}
	slices.SortFunc(o.Run, func(a, b api.TaskSpec) int { return len(a.Task.ID) - len(b.Task.ID) })
	return o
}

// order gives the agent a task to run.
func (s *server) order(id string, change func(*api.TaskSpec)) {
	spec := api.TaskSpec{
		Task:    purser.Task{ID: purser.TaskID(id), Job: "job-1", Group: "train", Attempt: 1, Lease: "lease-1", Variant: "v", State: purser.TaskPlaced},
		Group:   purser.TaskGroup{Name: "train", Kind: purser.Training, Replicas: 1, Variants: []purser.Variant{{Name: "v"}}},
		Project: "p", JobName: "j",
	}
	if change != nil {
		change(&spec)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[spec.Task.ID] = &serverTask{spec: spec}
}

func runs(text string) func(*api.TaskSpec) {
	return func(s *api.TaskSpec) { s.Group.Run.Command = text }
}

func (s *server) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// until waits, while calls come in, for something to be true.
func (s *server) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		done, faults := ok(), slices.Clone(s.faults)
		s.mu.Unlock()
		if len(faults) > 0 {
			t.Fatalf("the agent breaks its promises: %q", faults)
		}
		if done {
			return
		}
		select {
		case <-s.changed:
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("within 20 s it did not come true that %s", what)
		}
	}
}

// ended waits for a task's end.
func (s *server) ended(t testing.TB, id string) api.TaskReport {
	t.Helper()
	var rep api.TaskReport
	s.until(t, id+" ends", func() bool {
		rep = s.tasks[purser.TaskID(id)].report
		return rep.State.Ended()
	})
	return rep
}

// output is what a task printed, as the server has it.
func (s *server) output(id string) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines[purser.TaskID(id)] {
		out = append(out, l.Stream+": "+l.Text)
	}
	return out
}

// working starts an agent and gives a function that ends it and tells what Run
// returned.
func working(t *testing.T, s *server, change func(*Config)) (end func() error) {
	t.Helper()
	c := Config{
		Lease: "lease-1", JoinToken: "join", Dir: t.TempDir(), ServerURL: "test", Dial: s.dial, StopGrace: 5 * time.Second,
		Logger: slog.New(slog.DiscardHandler), Runtimes: []string{},
	}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- Run(ctx, c) }()
	var once sync.Once
	var err error
	end = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-result:
			case <-time.After(30 * time.Second):
				t.Error("the agent does not end")
			}
		})
		return err
	}
	t.Cleanup(func() { _ = end() })
	return end
}

// returned waits for an agent that ends by itself.
func returned(t *testing.T, s *server, change func(*Config)) error {
	t.Helper()
	c := Config{Lease: "lease-1", JoinToken: "join", Dir: t.TempDir(), Dial: s.dial, StopGrace: time.Second, LastWords: time.Second, Runtimes: []string{}}
	if change != nil {
		change(&c)
	}
	result := make(chan error, 1)
	go func() { result <- Run(t.Context(), c) }()
	select {
	case err := <-result:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the agent does not end")
		return nil
	}
}
