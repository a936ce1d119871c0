package app

import (
	"context"
	"crypto/subtle"
	"time"

	"purser"
	"purser/agent/notice"
	"purser/api"
	"purser/fleet"
	"purser/postgres"
	"purser/providers"
	"purser/server"
)

// How often agents report, and how long they go on without a server.
const (
	reportEvery = time.Second
	agentGiveUp = 120 * time.Second
)

type agentsPart struct{ *App }

// Join compares the token with the one that the lease's launch was given; it is
// derived, so nothing is stored in clear. It lets one agent in, while the lease is
// launching and until the token expires; after that the same agent alone, by its secret
// (JoinLease). Who has no token does not learn which leases there are.
func (p agentsPart) Join(ctx context.Context, joinToken string, j api.AgentJoin) (api.AgentJoined, error) {
	lease, err := p.db.Lease(ctx, j.Lease)
	if err != nil && purser.KindOf(err) != purser.KindNotFound {
		return api.AgentJoined{}, err
	}
	want := fleet.JoinToken(p.secret, lease.ID, lease.Attempt)
	if subtle.ConstantTimeCompare([]byte(want), []byte(joinToken)) != 1 || err != nil {
		return api.AgentJoined{}, purser.Errorf(purser.KindForbidden, "app.Join", "the join token is not that of the lease's present attempt")
	}
	if err := p.standing(); err != nil {
		return api.AgentJoined{}, err
	}
	if lease.State == purser.LeaseLaunching && p.now().After(p.fleet.JoinBy(lease)) {
		return api.AgentJoined{}, purser.Errorf(purser.KindUnauthorized, "app.Join", "the join token of lease %s has expired", lease.ID)
	}
	lease, err = p.db.JoinLease(ctx, j.Lease, hashOf(j.Secret), p.now())
	return api.AgentJoined{Lease: lease, ReportEveryMs: int(reportEvery.Milliseconds()), GiveUpMs: int(agentGiveUp.Milliseconds())}, err
}

func (p agentsPart) Report(ctx context.Context, secret string, r api.AgentReport) (api.AgentOrders, error) {
	lease, err := p.db.AgentLease(ctx, hashOf(secret))
	if err != nil {
		if purser.KindOf(err) == purser.KindNotFound {
			err = purser.Errorf(purser.KindUnauthorized, "app.Report", "no lease has an agent with this secret")
		}
		return api.AgentOrders{}, err
	}
	if lease.ID != r.Lease {
		return api.AgentOrders{}, purser.Errorf(purser.KindForbidden, "app.Report", "the secret is that of another lease")
	}
	if n := r.Notice; n != nil { // first, for there may be seconds only
		err := p.standing()
		if err == nil {
			err = p.fleet.Interrupted(ctx, interruption(lease, *n))
		}
		if err != nil {
			return api.AgentOrders{}, err
		}
	}
	if _, err := p.db.AppendLogs(ctx, lease.ID, linesOf(r.Logs)); err != nil {
		return api.AgentOrders{}, err
	}
	reports := make([]postgres.TaskReport, 0, len(r.Tasks))
	for _, t := range r.Tasks {
		reports = append(reports, postgres.TaskReport(t))
	}
	orders, err := p.db.Report(ctx, lease.ID, reports, p.now())
	if err != nil {
		return api.AgentOrders{}, err
	}
	out := api.AgentOrders{Stop: orders.Stop, Drain: orders.Drain}
	for _, s := range orders.Run {
		out.Run = append(out.Run, api.TaskSpec{Task: s.Task, Group: s.Group, Project: s.Job.Project, JobName: s.Job.Name})
	}
	return out, nil
}

// standing is unavailable while the server starts; agents ask again.
func (p agentsPart) standing() error {
	if p.fleetUp.Load() {
		return nil
	}
	return &purser.Error{Kind: purser.KindUnavailable, Op: "app", Message: "the server is starting", RetryAfter: time.Second}
}

// interruption is a machine's own notice as its provider would tell it. An agent that
// leaves has its tasks stopped already, whatever the notice is about.
func interruption(l purser.Lease, n api.AgentNotice) providers.Interruption {
	kind := providers.Rebalance
	switch {
	case n.Leave && n.Kind == string(notice.Preempted):
		kind = providers.Preempted
	case n.Leave:
		kind, n.At = providers.Retired, time.Time{}
	}
	return providers.Interruption{Lease: l.ID, Kind: kind, At: n.At, Reason: n.Reason}
}

func linesOf(lines []api.LogLine) []postgres.LogLine {
	out := make([]postgres.LogLine, 0, len(lines))
	for _, l := range lines {
		out = append(out, postgres.LogLine{Task: l.Task, Seq: l.Seq, At: l.At, Stream: l.Stream, Text: l.Text})
	}
	return out
}

var _ server.Agents = agentsPart{}
