package api

import (
	"context"
	"net/url"
	"strconv"

	"purser"
)

// The lists of the API, each in an object so that fields can be added.
type (
	// Jobs is a page of jobs, newest first.
	Jobs struct {
		Jobs []Job  `json:"jobs"`
		Next string `json:"next,omitempty"`
	}
	// Tasks is a list of tasks.
	Tasks struct {
		Tasks []purser.Task `json:"tasks"`
	}
	// Leases is a list of leases, newest first.
	Leases struct {
		Leases []Lease `json:"leases"`
	}
	// Plans is a list of plans, newest first, without their leases.
	Plans struct {
		Plans []Plan `json:"plans"`
	}
	// Charges is a page of the ledger, oldest first.
	Charges struct {
		Charges []purser.Charge `json:"charges"`
		Total   purser.Money    `json:"billed_total_usd"`
	}
	// Tokens is a list of tokens.
	Tokens struct {
		Tokens []Token `json:"tokens"`
	}
	// Events is a page of events, oldest first.
	Events struct {
		Events []purser.Event `json:"events"`
	}
)

// Health asks whether the server can do its work.
func (c *Client) Health(ctx context.Context) (out Health, err error) {
	return out, c.Get(ctx, "/v1/health", nil, &out)
}

// Submit submits the jobs of a file. Submitting the same again changes nothing.
func (c *Client) Submit(ctx context.Context, f JobFile) (out Submitted, err error) {
	return out, c.Post(ctx, "/v1/jobs", f, &out, true)
}

// WhatIf plans the jobs of a file beside all that is there, and changes nothing.
func (c *Client) WhatIf(ctx context.Context, f JobFile) (out Plan, err error) {
	return out, c.Post(ctx, "/v1/plans", f, &out, true)
}

// Jobs lists jobs; query takes project, state, live, limit and after.
func (c *Client) Jobs(ctx context.Context, query url.Values) (out Jobs, err error) {
	return out, c.Get(ctx, "/v1/jobs", query, &out)
}

// Job reads one job by id, or by name within a project.
func (c *Client) Job(ctx context.Context, ref, project string) (out Job, err error) {
	return out, c.Get(ctx, "/v1/jobs/"+url.PathEscape(ref), in(project), &out)
}

// Tasks lists the tasks of a job.
func (c *Client) Tasks(ctx context.Context, ref, project string) (out Tasks, err error) {
	return out, c.Get(ctx, "/v1/jobs/"+url.PathEscape(ref)+"/tasks", in(project), &out)
}

// Cancel ends a job.
func (c *Client) Cancel(ctx context.Context, ref, project string) (out Job, err error) {
	return out, c.Post(ctx, "/v1/jobs/"+url.PathEscape(ref)+"/cancel?"+in(project).Encode(), nil, &out, true)
}

// Logs reads the lines of a job, or of one task of it, after a cursor.
func (c *Client) Logs(ctx context.Context, ref, project string, task purser.TaskID, after string, limit int) (out Logs, err error) {
	q := in(project)
	q.Set("after", after)
	q.Set("task", string(task))
	q.Set("limit", strconv.Itoa(limit))
	return out, c.Get(ctx, "/v1/jobs/"+url.PathEscape(ref)+"/logs", q, &out)
}

func in(project string) url.Values {
	q := url.Values{}
	if project != "" {
		q.Set("project", project)
	}
	return q
}

// Plan reads a plan; "latest" is the newest.
func (c *Client) Plan(ctx context.Context, id string) (out Plan, err error) {
	return out, c.Get(ctx, "/v1/plans/"+url.PathEscape(id), nil, &out)
}

// Plans lists plans, newest first, without their leases.
func (c *Client) Plans(ctx context.Context, limit int) (out Plans, err error) {
	return out, c.Get(ctx, "/v1/plans", url.Values{"limit": {strconv.Itoa(limit)}}, &out)
}

// Leases lists leases; query takes live and limit.
func (c *Client) Leases(ctx context.Context, query url.Values) (out Leases, err error) {
	return out, c.Get(ctx, "/v1/leases", query, &out)
}

// Charges reads the ledger; query takes project, job, lease, from, to and limit.
func (c *Client) Charges(ctx context.Context, query url.Values) (out Charges, err error) {
	return out, c.Get(ctx, "/v1/charges", query, &out)
}

// Spend reads the month's money.
func (c *Client) Spend(ctx context.Context) (out Spend, err error) {
	return out, c.Get(ctx, "/v1/spend", nil, &out)
}

// Rebalance moves what runs to where it is cheaper, or says what would move.
func (c *Client) Rebalance(ctx context.Context, r Rebalance) (out Rebalanced, err error) {
	return out, c.Post(ctx, "/v1/rebalance", r, &out, r.DryRun)
}

// Tokens lists the tokens.
func (c *Client) Tokens(ctx context.Context) (out Tokens, err error) {
	return out, c.Get(ctx, "/v1/tokens", nil, &out)
}

// CreateToken makes a token. A lost answer leaves a token that nobody holds; it
// can be revoked.
func (c *Client) CreateToken(ctx context.Context, t NewToken) (out CreatedToken, err error) {
	return out, c.Post(ctx, "/v1/tokens", t, &out, false)
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.Delete(ctx, "/v1/tokens/"+url.PathEscape(id))
}

// Login makes a one-time code for a browser.
func (c *Client) Login(ctx context.Context) (out Login, err error) {
	return out, c.Post(ctx, "/v1/logins", nil, &out, false)
}

// Join is an agent's first call; the client's token is the lease's join token.
func (c *Client) Join(ctx context.Context, j AgentJoin) (out AgentJoined, err error) {
	return out, c.Post(ctx, "/v1/agent/join", j, &out, true)
}

// Report tells what an agent runs and reads what it is to run; the client's token
// is the agent's secret.
func (c *Client) Report(ctx context.Context, r AgentReport) (out AgentOrders, err error) {
	return out, c.Post(ctx, "/v1/agent/report", r, &out, true)
}
