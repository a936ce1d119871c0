package agent

import (
	"context"
	"os"
	"slices"
	"time"

	"purser"
	"purser/api"
)

// loop reports, carries out orders and waits for tasks to end, until a drain is
// complete and said, or has taken all the time that it may.
func (a *agent) loop(ctx context.Context) error {
	defer close(a.gone)
	asked := ctx.Done()
	work := context.WithoutCancel(ctx) // tasks are stopped by the drain, not by the context
	next := time.NewTimer(0)
	defer next.Stop()
	inFlight, pressing := false, false
	for {
		if a.draining && (a.finished() || !a.Now().Before(a.deadline)) {
			return a.why
		}
		select {
		case <-asked:
			asked = nil
			a.drain("its machine is being ended", nil)
			a.hangUp()
			pressing = true
		case e := <-a.endings:
			a.end(e)
			a.startWaiting(work)
			pressing = true
		case n := <-a.notices:
			a.heed(n)
			pressing = true
		case r := <-a.replies:
			inFlight = false
			pressing = a.answer(work, r) || pressing
		case <-next.C:
			pressing = true
		case <-time.After(a.patience()):
			// A drain or the wait for a server may have run out.
		}
		if silent := a.Now().Sub(a.lastHeard); silent >= a.GiveUp && !a.draining {
			a.drain("its machine was without a server for "+a.GiveUp.String(),
				purser.Errorf(purser.KindUnavailable, "agent.Run", "no server for %s; the tasks were stopped", a.GiveUp))
		}
		if pressing && !inFlight && !a.mute {
			inFlight, pressing = true, false
			a.send(work, a.compose())
			next.Reset(a.ReportEvery)
		}
	}
}

// patience is how long the loop may wait before it looks at the clock again.
func (a *agent) patience() time.Duration {
	until := a.lastHeard.Add(a.GiveUp)
	if a.draining {
		until = a.deadline
	}
	return min(max(until.Sub(a.Now()), time.Millisecond), a.ReportEvery)
}

// finished says whether every task has ended and the server knows it all.
func (a *agent) finished() bool {
	for _, r := range a.runs {
		if !r.ended() {
			return false
		}
	}
	return a.mute || len(a.runs) == 0 && a.notice == nil
}

// drain stops everything. The first reason stays.
func (a *agent) drain(reason string, why error) {
	if a.draining {
		return
	}
	a.draining, a.why = true, why
	a.deadline = a.Now().Add(a.StopGrace + a.LastWords)
	for _, id := range slices.Clone(a.order) {
		a.halt(a.runs[id], reason)
	}
	a.Logger.Info("agent drains", "lease", a.Lease, "reason", reason)
}

// halt tells a task to stop. One that waits for devices ends at once.
func (a *agent) halt(r *run, reason string) {
	if r.ended() || r.stopping != "" {
		return
	}
	r.stopping = reason
	if !r.started {
		a.settle(r, ending{task: r.report.Task, err: purser.Errorf(purser.KindUnavailable, "agent.halt", "%s", reason)})
		return
	}
	r.stop()
}

// end takes down how a task ended.
func (a *agent) end(e ending) {
	r := a.runs[e.task]
	a.devices.give(r.grant)
	r.grant = grant{}
	a.settle(r, e)
}

func (a *agent) settle(r *run, e ending) {
	r.conclude(e, a.Now())
	a.observe(r)
	a.note(r)
	a.Logger.Info("task ended", "task", r.report.Task, "state", r.report.State, "reason", r.report.Reason)
}

// note writes the task into the journal. A journal that cannot be written costs, at
// worst, a repetition after a crash; the task's result is still reported.
func (a *agent) note(r *run) {
	err := a.journal.put(r.report.Task, entry{Report: r.report, Checkpoints: r.folders.checkpoint})
	if err != nil {
		a.Logger.Error("journal cannot be written", "task", r.report.Task, "cause", err)
	}
}

// observe looks at what the task left on disk.
func (a *agent) observe(r *run) {
	if r.folders.progress != "" && r.report.State != purser.TaskSucceeded {
		if p, ok := progress(r.folders.progress); ok {
			r.report.Progress = p
		}
	}
	if r.folders.checkpoint != "" && holdsAnything(r.folders.checkpoint) {
		r.report.Checkpoint = r.folders.checkpoint
	}
}

// reportBytes bounds the lines in one report.
const reportBytes = 1 << 20

// compose makes the next report. A task that has ended is said to run until the
// report that carries its last lines, so that whoever follows them sees them all;
// in a drain there may be no time for that.
func (a *agent) compose() api.AgentReport {
	rep := api.AgentReport{Lease: a.Lease, Tasks: []api.TaskReport{}, Logs: []api.LogLine{}, Notice: a.notice}
	size := 0
	for _, id := range a.order {
		r := a.runs[id]
		if !r.ended() && r.started {
			a.observe(r)
		}
		more := true
		if size < reportBytes {
			var lines []api.LogLine
			lines, more = r.log.batch()
			for _, l := range lines {
				size += len(l.Text) + lineOverhead
			}
			rep.Logs = append(rep.Logs, lines...)
		}
		said := r.report
		if r.ended() && more && !a.draining {
			said = running(said)
		}
		if said.State != purser.TaskPlaced { // waiting for devices: nothing to say yet
			rep.Tasks = append(rep.Tasks, said)
		}
	}
	return rep
}

func running(t api.TaskReport) api.TaskReport {
	t.State, t.ExitCode, t.Reason, t.EndedAt = purser.TaskRunning, nil, "", time.Time{}
	return t
}

// send makes the call, beside the loop. In a drain it is kept short, so that a server
// that hangs leaves time for another try.
func (a *agent) send(ctx context.Context, rep api.AgentReport) {
	limit := a.CallTimeout
	if a.draining {
		limit = min(limit, a.LastWords/2)
	}
	call, cancel := context.WithTimeout(ctx, limit)
	a.hangUp = cancel
	go func() {
		defer cancel()
		orders, err := a.server.Report(call, rep)
		a.replies <- reply{sent: rep, orders: orders, err: err}
	}()
}

// answer deals with the answer to a report; more says that the next one should
// follow at once.
func (a *agent) answer(ctx context.Context, r reply) (more bool) {
	if r.err != nil {
		if refuses(r.err) {
			a.mute = true
			a.drain("the server has ended its lease", r.err)
		}
		return false
	}
	a.lastHeard = a.Now()
	more = a.acknowledge(r.sent)
	a.obey(r.orders, r.sent)
	a.startWaiting(ctx)
	return more
}

// acknowledge forgets what the server now knows.
func (a *agent) acknowledge(sent api.AgentReport) (more bool) {
	if a.notice == sent.Notice {
		a.notice = nil
	}
	last := map[purser.TaskID]int64{}
	for _, l := range sent.Logs {
		last[l.Task] = l.Seq
	}
	for id, seq := range last {
		if r := a.runs[id]; r != nil {
			r.log.acknowledged(seq)
		}
	}
	var over []purser.TaskID
	for _, t := range sent.Tasks {
		if r := a.runs[t.Task]; r != nil && t.State.Ended() {
			over = append(over, t.Task)
			if t.State != purser.TaskFailed && r.folders.own != "" {
				_ = os.RemoveAll(r.folders.own) // what failed is left to be looked at
			}
			delete(a.runs, t.Task)
		}
	}
	a.order = slices.DeleteFunc(a.order, func(id purser.TaskID) bool { return a.runs[id] == nil })
	if err := a.journal.done(over...); err != nil {
		a.Logger.Error("journal cannot be written", "cause", err)
	}
	for _, r := range a.runs {
		if _, rest := r.log.batch(); rest || r.ended() {
			more = true
		}
	}
	return more
}

// obey carries out orders: what is new begins, what is to stop or is no longer
// wanted stops.
func (a *agent) obey(o api.AgentOrders, sent api.AgentReport) {
	if o.Drain {
		a.drain("its lease is being ended", nil)
	}
	wanted := map[purser.TaskID]bool{}
	for _, s := range o.Run {
		wanted[s.Task.ID] = true
		if !a.draining && !a.journal.begun(s.Task.ID) && a.runs[s.Task.ID] == nil {
			a.accept(s)
		}
	}
	for _, id := range o.Stop {
		if r := a.runs[id]; r != nil {
			a.halt(r, "it was told to stop")
		}
	}
	// What the server no longer wants was known to it when it answered: it was in the
	// report, or came with an earlier answer and waits for devices.
	known := map[purser.TaskID]bool{}
	for _, t := range sent.Tasks {
		known[t.Task] = true
	}
	for _, id := range slices.Clone(a.order) {
		if r := a.runs[id]; !wanted[id] && (known[id] || !r.started) {
			a.halt(r, "its place on this machine was given up")
		}
	}
}
