package app

import (
	"context"
	"fmt"

	"purser"
	"purser/api"
	"purser/ledger"
	"purser/postgres"
	"purser/server"
)

type moneyPart struct{ *App }

// Spend gives the month's money. Rehearsed money and money that was owed are not
// added: the answer holds the one of the mode that the server is in.
func (p moneyPart) Spend(ctx context.Context) (api.Spend, error) {
	now := p.now()
	begin, end := ledger.Month(now)
	rows, err := p.db.Spend(ctx, begin, end)
	if err != nil {
		return api.Spend{}, err
	}
	leases, err := p.db.LiveLeases(ctx)
	if err != nil {
		return api.Spend{}, err
	}
	out := api.Spend{Rehearsal: p.rehearsal, At: now, MonthStart: begin, ByJob: []api.SpendRow{}}
	var running []purser.Lease
	for _, l := range leases {
		if l.Rehearsal == p.rehearsal && (l.State == purser.LeaseRunning || l.State == purser.LeaseDraining && !l.RunningAt.IsZero()) {
			running = append(running, l)
			if out.ChargedThrough.IsZero() || l.ChargedThrough.Before(out.ChargedThrough) {
				out.ChargedThrough = l.ChargedThrough
			}
		}
	}
	out.RatePerHour = p.billedRate(running)
	for _, r := range rows {
		if r.Rehearsal != p.rehearsal {
			continue
		}
		out.MonthToDate += r.Billed
		out.MonthToDateOD += r.List
		out.ByJob = append(out.ByJob, api.SpendRow{Project: r.Project, Job: r.JobName, Billed: r.Billed, List: r.List})
	}
	out.MonthEnd = ledger.Projection(out.MonthToDate, out.RatePerHour, now, end)
	out.Assumption = fmt.Sprintf("if what runs now (%s) runs on until %s", out.RatePerHour, end.Format("2 January"))
	if out.RatePerHour == 0 {
		out.Assumption = "if nothing more is run this month"
	}
	return out, nil
}

func (p moneyPart) Charges(ctx context.Context, q server.ChargeQuery) (api.Charges, error) {
	f := postgres.ChargeFilter{Project: q.Project, Lease: q.Lease, From: q.From, To: q.To, Limit: q.Limit}
	if q.Job.Ref != "" {
		j, err := p.find(ctx, q.Job)
		if err != nil {
			return api.Charges{}, err
		}
		f.Job = j.ID
	}
	charges, err := p.db.Charges(ctx, f)
	out := api.Charges{Charges: charges}
	for _, c := range charges {
		out.Total += c.BilledCost
	}
	return out, err
}
