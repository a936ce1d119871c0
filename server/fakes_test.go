package server_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"purser"
	"purser/api"
	"purser/server"
)

// fake is a small world behind the API, in memory.
type fake struct {
	mu        sync.Mutex
	jobs      []purser.Job
	events    []purser.Event
	watchers  []chan struct{}
	logins    map[string]bool
	revoked   map[string]bool
	signedOut []string
	fail      error // what every read of jobs answers, when set
	imported  []byte
	asked     []server.OfferQuery
	reviewed  []string // who reviewed what
}

func parts(f *fake) server.Parts {
	return server.Parts{
		Health: f, Access: access{f}, Jobs: jobs{f}, Logs: logs{f}, Plans: plans{f}, Prices: prices{f}, Feeds: feeds{f}, Reviews: feeds{f}, Leases: leases{}, Providers: provided{}, Money: money{},
		Tokens: tokens{}, Events: events{f}, Agents: agents{}, Programs: programs{},
	}
}

func (f *fake) Health(context.Context) api.Health {
	return api.Health{Status: "ok", Parts: map[string]string{}}
}

type access struct{ *fake }

// Tokens are named after their roles.
func (a access) Authenticate(_ context.Context, bearer string) (server.Identity, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.revoked[bearer] {
		return server.Identity{}, purser.Errorf(purser.KindUnauthorized, "fake", "the token was revoked")
	}
	switch bearer {
	case "viewer", "operator", "admin":
		return server.Identity{Name: bearer, Token: "tok-" + bearer, Role: api.Role(bearer)}, nil
	}
	return server.Identity{}, purser.Errorf(purser.KindUnauthorized, "fake", "the token is not known")
}

func (a access) Session(ctx context.Context, cookie string) (server.Identity, error) {
	return a.Authenticate(ctx, cookie)
}

func (a access) SignIn(_ context.Context, code string) (string, time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.logins[code] {
		return "", time.Time{}, purser.Errorf(purser.KindUnauthorized, "fake", "the link was used already")
	}
	delete(a.logins, code)
	return "viewer", time.Now().Add(time.Hour), nil
}

func (a access) SignOut(_ context.Context, cookie string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signedOut = append(a.signedOut, cookie)
	return nil
}

func (a access) NewLogin(_ context.Context, who server.Identity) (api.Login, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logins["code-"+who.Name] = true
	return api.Login{Code: "code-" + who.Name}, nil
}

type jobs struct{ *fake }

func (j jobs) Submit(_ context.Context, actor string, list []purser.Job) (api.Submitted, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := api.Submitted{Jobs: []api.SubmittedJob{}}
	for _, job := range list {
		job.ID = purser.JobID("job-" + job.Name)
		j.jobs = append(j.jobs, job)
		j.events = append(j.events, purser.Event{ID: int64(len(j.events) + 1), Actor: actor, Subject: "job", Name: string(job.ID), To: "queued"})
		out.Jobs = append(out.Jobs, api.SubmittedJob{ID: job.ID, Project: job.Project, Name: job.Name, Created: true})
	}
	for _, w := range j.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return out, nil
}

func (j jobs) List(context.Context, server.JobQuery) (api.Jobs, error) { return api.Jobs{}, j.fail }

func (j jobs) Get(_ context.Context, ref server.JobRef) (api.Job, error) {
	return api.Job{}, purser.Errorf(purser.KindNotFound, "fake", "there is no job %s", ref.Ref)
}
func (j jobs) Tasks(context.Context, server.JobRef) ([]purser.Task, error) { return nil, nil }
func (j jobs) Cancel(_ context.Context, _ string, ref server.JobRef) (api.Job, error) {
	return api.Job{ID: purser.JobID(ref.Ref), State: purser.JobCancelled, Groups: []api.Group{}}, nil
}

type logs struct{ *fake }

func (logs) Logs(_ context.Context, q server.LogQuery) (api.Logs, error) {
	return api.Logs{Next: q.Job.Project + "/" + q.Job.Ref + "/" + string(q.Task) + "/" + q.After}, nil
}

type plans struct{ *fake }

func (plans) List(context.Context, int) ([]api.Plan, error) { return nil, nil }
func (plans) Get(context.Context, purser.PlanID) (api.Plan, error) {
	return api.PlanOf(purser.Plan{Status: purser.PlanOptimal}, func(purser.JobID) string { return "" }), nil
}

func (plans) WhatIf(context.Context, []purser.Job) (api.Plan, error) {
	panic("the optimizer fell over")
}

func (plans) Ask(_ context.Context, q server.WhatIfQuery) (api.WhatIfAnswer, error) {
	return api.WhatIfAnswer{Sentence: fmt.Sprintf("%d jobs, %d lost, %d prices", len(q.Jobs), len(q.Lose), len(q.Prices))}, nil
}

func (plans) Front(context.Context, string) (api.Front, error) { return api.Front{Reason: "none"}, nil }

func (plans) Worth(context.Context) (api.Worth, error) { return api.Worth{Left: 3}, nil }

func (plans) Rebalance(context.Context, string, bool) (api.Rebalanced, error) {
	return api.Rebalanced{}, nil
}

type prices struct{ *fake }

func (p prices) Offers(_ context.Context, q server.OfferQuery) (api.Offers, error) {
	p.asked = append(p.asked, q)
	return api.Offers{Offers: []api.Offer{api.OfferOf(purser.Offer{
		Provider: "aws", Region: "us-east-1", InstanceType: "p5.48xlarge", Option: purser.Spot, UnitPrice: 10_239_700_000,
		Shape: purser.Shape{Accelerator: "H100", Devices: 8000, DeviceMemoryMiB: 80 << 10},
	})}}, nil
}

func (prices) History(context.Context, purser.OfferID, time.Time, time.Time, bool) (api.PriceHistory, error) {
	return api.PriceHistory{}, nil
}

func (p prices) Cheapest(_ context.Context, q server.OfferQuery, from, to time.Time) (api.Cheapest, error) {
	p.asked = append(p.asked, q)
	return api.Cheapest{Per: q.Per, Steps: []api.CheapestStep{{From: from}, {From: to}}}, nil
}

func (prices) Hazards(context.Context, string, string, string) (api.Hazards, error) {
	return api.Hazards{Hazards: []api.Hazard{}}, nil
}

// feeds notes who decided what.
type feeds struct{ *fake }

func (feeds) Sources(context.Context) ([]api.Source, error) { return nil, nil }

func (f feeds) Collect(_ context.Context, actor, source string) (api.Source, error) {
	f.reviewed = append(f.reviewed, actor+" collects "+source)
	return api.Source{Name: source}, nil
}

func (feeds) Quarantine(context.Context, server.QuarantineQuery) ([]api.QuarantinedPrice, error) {
	return nil, nil
}

func (f feeds) Release(_ context.Context, actor string, r api.Review) (purser.PriceRule, error) {
	f.reviewed = append(f.reviewed, actor+" releases "+string(r.Offer))
	return purser.PriceRule{Offer: r.Offer, Reason: r.Reason, Actor: actor}, nil
}

func (f feeds) Keep(_ context.Context, actor string, r api.Review) error {
	f.reviewed = append(f.reviewed, actor+" keeps "+string(r.Offer))
	return nil
}

func (f feeds) Block(_ context.Context, actor string, r api.Review) (purser.PriceRule, error) {
	f.reviewed = append(f.reviewed, actor+" blocks "+string(r.Offer))
	return purser.PriceRule{Offer: r.Offer, Reason: purser.QuarantineByHand, Actor: actor}, nil
}
func (feeds) Rules(context.Context) ([]purser.PriceRule, error) { return nil, nil }
func (f feeds) DropRule(_ context.Context, actor string, offer purser.OfferID, reason purser.QuarantineReason) error {
	f.reviewed = append(f.reviewed, actor+" drops "+string(reason)+" of "+string(offer))
	return nil
}

func (p prices) Import(_ context.Context, _ string, f server.PriceFile) (api.PriceReport, error) {
	p.imported = f.Content
	return api.PriceReport{Source: f.Name, Seen: len(f.Content)}, nil
}

type leases struct{}

func (leases) List(context.Context, bool, int) ([]api.Lease, error) { return nil, nil }
func (leases) Get(context.Context, purser.LeaseID) (api.Lease, error) {
	return api.Lease{}, context.DeadlineExceeded
}

type money struct{}

func (money) Spend(context.Context) (api.Spend, error) { return api.Spend{MonthToDate: 1}, nil }
func (money) Charges(context.Context, server.ChargeQuery) (api.Charges, error) {
	return api.Charges{}, nil
}

type tokens struct{}

func (tokens) List(context.Context) ([]api.Token, error) { return nil, nil }
func (tokens) Create(_ context.Context, _ string, t api.NewToken) (api.CreatedToken, error) {
	return api.CreatedToken{Token: api.Token{Name: t.Name, Role: t.Role}, Secret: "s"}, nil
}
func (tokens) Revoke(context.Context, string, string) error { return nil }

type events struct{ *fake }

func (e events) Events(_ context.Context, after int64, limit int) ([]purser.Event, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []purser.Event
	for _, ev := range e.events {
		if ev.ID > after && len(out) < limit {
			out = append(out, ev)
		}
	}
	return out, nil
}

func (e events) Last(context.Context) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int64(len(e.events)), nil
}

func (e events) Changed(context.Context) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := make(chan struct{}, 1)
	e.watchers = append(e.watchers, w)
	return w
}

type agents struct{}

func (agents) Join(_ context.Context, token string, j api.AgentJoin) (api.AgentJoined, error) {
	if token != "join" {
		return api.AgentJoined{}, purser.Errorf(purser.KindForbidden, "fake", "wrong token")
	}
	return api.AgentJoined{Lease: purser.Lease{ID: j.Lease}}, nil
}

func (agents) Report(context.Context, string, api.AgentReport) (api.AgentOrders, error) {
	return api.AgentOrders{}, nil
}

type provided struct{}

func (provided) Providers(context.Context) (api.Providers, error) {
	return api.Providers{SpendLimit: api.SpendLimit{PerHour: 5}, Providers: []api.Provider{{Name: "aws", Machines: 2}}}, nil
}
