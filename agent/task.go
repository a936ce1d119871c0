package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/api"
)

// run is a task on this machine. The agent's loop owns it; execute works on a copy
// of what it needs and says how it ended through a channel.
type run struct {
	spec     api.TaskSpec
	report   api.TaskReport // State placed while it waits for devices
	log      *taskLog
	grant    grant
	folders  folders
	stop     context.CancelFunc // nil until it has been started
	port     *os.File           // holds the port's reservation among this host's agents; nil without a port
	stopping string             // why it was told to stop; empty: it was not
	started  bool
}

func (r *run) ended() bool { return r.report.State.Ended() }

// ending is how the execution of a task ended.
type ending struct {
	task    purser.TaskID
	outcome outcome
	err     error // of ours or of the job's files: the command gave no exit code
}

// execution is all that running a task's commands needs.
type execution struct {
	config  Config
	spec    api.TaskSpec
	folders folders
	env     []string // the contract and the group's own, without what is inherited
	grant   grant
	log     *taskLog
	runtime string // container runtime; empty: plain processes
}

// execute runs set-up and command. Set-up that fails is the task's failure.
func (x execution) execute(ctx context.Context) (outcome, error) {
	r := x.spec.Group.Run
	note := filepath.Join(x.config.Dir, "groups", fileName(string(x.spec.Task.ID)))
	base := command{dir: x.folders.work, env: append(slices.Clone(x.config.Env), x.env...), note: note, log: x.log, grace: x.config.StopGrace}
	if x.runtime != "" {
		defer x.removeContainer(ctx)
		base.argv = x.containerArgs()
		return base.run(ctx)
	}
	for _, step := range []struct{ name, text string }{{"setup", r.Setup}, {"command", r.Command}} {
		if step.text == "" {
			continue
		}
		base.argv = []string{"/bin/sh", "-c", step.text}
		out, err := base.run(ctx)
		if err != nil {
			return out, err
		}
		if step.name == "setup" && out.code != 0 {
			out.reason = "set-up failed: " + out.reason
			return out, nil
		}
		if step.name == "command" || ctx.Err() != nil {
			return out, nil
		}
	}
	return outcome{}, nil
}

// environment is what the task finds beside what it inherits. The contract comes
// last, so a group cannot overrule it.
func environment(lease purser.LeaseID, s api.TaskSpec, f folders, g grant, port int) []string {
	group := s.Group
	var env []string
	for _, k := range sortedKeys(group.Run.Env) {
		env = append(env, k+"="+group.Run.Env[k])
	}
	numbers := numbersOf(g)
	set := func(name, value string) { env = append(env, name+"="+value) }
	set("PURSER_JOB", s.JobName)
	set("PURSER_JOB_ID", string(s.Task.Job))
	set("PURSER_PROJECT", s.Project)
	set("PURSER_GROUP", group.Name)
	set("PURSER_REPLICA", itoa(s.Task.Replica))
	set("PURSER_REPLICAS", itoa(cmp.Or(s.Task.World, max(group.Replicas, 1))))
	set("PURSER_STAGES", itoa(group.StagesOf(s.Task.Variant)))
	set("PURSER_ATTEMPT", itoa(s.Task.Attempt))
	set("PURSER_VARIANT", s.Task.Variant)
	set("PURSER_TASK", string(s.Task.ID))
	set("PURSER_LEASE", string(lease))
	set("PURSER_DEVICES", numbers)
	set("PURSER_CHECKPOINT_DIR", f.checkpoint)
	set("PURSER_PROGRESS_FILE", f.progress)
	if gpus(s) || len(g.numbers) == 0 {
		set("CUDA_VISIBLE_DEVICES", numbers)
	}
	if port > 0 {
		set("PORT", itoa(port))
	}
	return env
}

// gpus says whether the task's variant runs on GPUs.
func gpus(s api.TaskSpec) bool {
	for _, v := range s.Group.Variants {
		if v.Name == s.Task.Variant {
			a, ok := purser.AcceleratorNamed(v.Accelerator)
			return ok && a.Kind == purser.GPU
		}
	}
	return false
}

func numbersOf(g grant) string {
	var b []string
	for _, n := range g.numbers {
		b = append(b, itoa(n))
	}
	return strings.Join(b, ",")
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// listens says whether a replica gets a port.
func listens(g purser.TaskGroup) bool { return g.Port > 0 || g.Kind == purser.Inference }

// choosePort takes the group's port if it is free on this machine and none of ours
// has it, else one that the system gives. It is free when it is chosen, which is all
// that can be known; agents that share a host reserve their ports with one another,
// since several may choose before any of their tasks listens.
func choosePort(ctx context.Context, folder string, want int, taken map[int]bool) (int, *os.File, error) {
	candidates := []int{0, 0, 0, 0}
	if want > 0 && !taken[want] {
		candidates = append([]int{want}, candidates...)
	}
	var lc net.ListenConfig
	last := errors.New("all are taken by other replicas")
	for _, port := range candidates {
		l, err := lc.Listen(ctx, "tcp", ":"+itoa(port))
		if err != nil {
			last = err
			continue
		}
		addr, ok := l.Addr().(*net.TCPAddr)
		_ = l.Close()
		if !ok || taken[addr.Port] {
			continue
		}
		reserved, err := reserve(folder, addr.Port)
		if err == nil {
			return addr.Port, reserved, nil
		}
		last = err
	}
	return 0, nil, purser.Errorf(purser.KindUnavailable, "agent.choosePort", "no port is free on this machine: %w", last)
}

// progress reads what the task says of itself; ok is false when it says nothing that
// makes sense.
func progress(path string) (share float64, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 64)
	n, _ := f.Read(b)
	text, _, _ := strings.Cut(strings.TrimSpace(string(b[:n])), "\n")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(v) {
		return 0, false
	}
	return min(max(v, 0), 1), true
}

// conclude is the report of a task that has ended.
func (r *run) conclude(e ending, now time.Time) {
	rep := &r.report
	rep.EndedAt = now.UTC()
	if r.port != nil {
		_ = r.port.Close()
		r.port = nil
	}
	if e.err == nil {
		code := e.outcome.code
		rep.ExitCode = &code
	}
	switch {
	case r.stopping != "":
		rep.State, rep.Reason = purser.TaskLost, r.stopping
	case e.err != nil:
		rep.State, rep.Reason = purser.TaskFailed, text(e.err)
	case e.outcome.code == 0:
		rep.State, rep.Reason, rep.Progress = purser.TaskSucceeded, "", 1
	default:
		rep.State, rep.Reason = purser.TaskFailed, e.outcome.reason
	}
}

func text(err error) string {
	if e, ok := errors.AsType[*purser.Error](err); ok && e.Message != "" {
		return e.Message
	}
	return fmt.Sprint(err)
}
