package app

import (
	"context"
	"crypto/subtle"
	"time"

	"purser"
	"purser/api"
	"purser/fleet"
	"purser/postgres"
	"purser/server"
)

// How often agents report, and how long they go on without a server.
const (
	reportEvery = time.Second
	agentGiveUp = 120 * time.Second
)

type agentsPart struct{ *App }

// Join compares the token with the one that the lease's launch was given; it is
// derived, so nothing is stored in clear.
func (p agentsPart) Join(ctx context.Context, joinToken string, j api.AgentJoin) (api.AgentJoined, error) {
	lease, err := p.db.Lease(ctx, j.Lease)
	if err == nil {
		want := fleet.JoinToken(p.secret, lease.ID, lease.Attempt)
		if subtle.ConstantTimeCompare([]byte(want), []byte(joinToken)) != 1 {
			err = purser.Errorf(purser.KindForbidden, "app.Join", "the join token is not that of the lease's present attempt")
		}
	}
	if err != nil {
		return api.AgentJoined{}, err
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

func linesOf(lines []api.LogLine) []postgres.LogLine {
	out := make([]postgres.LogLine, 0, len(lines))
	for _, l := range lines {
		out = append(out, postgres.LogLine{Task: l.Task, Seq: l.Seq, At: l.At, Stream: l.Stream, Text: l.Text})
	}
	return out
}

var _ server.Agents = agentsPart{}
