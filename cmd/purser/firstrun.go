package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
	"purser/app"
)

// firstRun submits a job file to the server that has just come up and shows what
// becomes of it: the plan, the tasks as they begin, what they cost so far, and a
// link to look at it all. Run again it submits nothing twice.
func firstRun(ctx context.Context, c *cobra.Command, a *app.App, path string) error {
	w := c.OutOrStdout()
	in, err := readJobFile(c, path, "")
	if err != nil {
		return err
	}
	cred, _ := a.Credentials()
	client := api.NewClient(a.URL(), cred.Token)
	before := latestPlan(ctx, client)
	out, err := client.Submit(ctx, in)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "\n%s\n", path)
	if err := printSubmitted(w, out); err != nil {
		return err
	}
	live, err := stillLive(ctx, client, out)
	if err != nil {
		return err
	}
	if len(live) > 0 {
		if err := showBeginning(ctx, w, client, live, before); err != nil {
			return err
		}
	} else {
		_, _ = fmt.Fprintln(w, "\nAll of it has ended already; see: purser jobs")
	}
	return showLink(ctx, w, client)
}

func latestPlan(ctx context.Context, client *api.Client) purser.PlanID {
	p, err := client.Plan(ctx, "latest")
	if err != nil {
		return ""
	}
	return p.ID
}

func stillLive(ctx context.Context, client *api.Client, out api.Submitted) ([]purser.JobID, error) {
	var live []purser.JobID
	for _, j := range out.Jobs {
		job, err := client.Job(ctx, string(j.ID), "")
		if err != nil {
			return nil, err
		}
		if !job.State.Ended() {
			live = append(live, j.ID)
		}
	}
	return live, nil
}

// showBeginning prints the plan that places the jobs, waits until their tasks run
// and have cost something, and prints that.
func showBeginning(ctx context.Context, w io.Writer, client *api.Client, jobs []purser.JobID, before purser.PlanID) error {
	_, _ = fmt.Fprintln(w, "\nplanning …")
	plan, err := awaitPlan(ctx, client, before)
	if err != nil {
		return err
	}
	if err := printPlan(w, plan); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w, "\nstarting the machines …")
	running, err := awaitRunning(ctx, client, jobs)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "%d tasks run\n\nwaiting for the first charge …\n", running)
	if err := awaitCharge(ctx, client, jobs); err != nil {
		return err
	}
	list, err := client.Jobs(ctx, url.Values{"limit": {"100"}})
	if err != nil {
		return err
	}
	if err := printJobs(w, list.Jobs, time.Now()); err != nil {
		return err
	}
	spend, err := client.Spend(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	return printSpend(w, spend)
}

// patience bounds each wait of a first run: beyond it something is wrong, and
// saying so is better than waiting on.
const patience = 3 * time.Minute

// until asks every half second until ready says yes.
func until(ctx context.Context, what string, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := ready(ctx)
		if err == nil && ok {
			return nil
		}
		if err != nil && ctx.Err() == nil && purser.KindOf(err) != purser.KindNotFound {
			return err
		}
		if sleep(ctx, pollEvery/2) != nil {
			if ctx.Err() == context.DeadlineExceeded {
				return purser.Errorf(purser.KindUnavailable, "purser serve", "%s took longer than %s; see: purser jobs, purser leases --all, and the log", what, patience)
			}
			return ctx.Err()
		}
	}
}

func awaitPlan(ctx context.Context, client *api.Client, before purser.PlanID) (plan api.Plan, err error) {
	err = until(ctx, "the plan", func(ctx context.Context) (bool, error) {
		list, err := client.Plans(ctx, 50)
		if err != nil {
			return false, err
		}
		// Ids sort by time: the first plan after the submission is the one that buys.
		for _, p := range slices.Backward(list.Plans) {
			if p.ID > before {
				plan, err = client.Plan(ctx, string(p.ID))
				return err == nil, err
			}
		}
		return false, nil
	})
	return plan, err
}

// awaitRunning waits until every job has a task that runs, or has ended; a job that
// the plan could not place is not waited for.
func awaitRunning(ctx context.Context, client *api.Client, jobs []purser.JobID) (running int, err error) {
	err = until(ctx, "the machines' start", func(ctx context.Context) (bool, error) {
		running = 0
		all := true
		for _, id := range jobs {
			j, err := client.Job(ctx, string(id), "")
			if err != nil {
				return false, err
			}
			running += j.Tasks.Running
			all = all && (j.State.Ended() || j.Tasks.Running > 0 || j.State == purser.JobQueued && j.Reason != "")
		}
		return all, nil
	})
	return running, err
}

func awaitCharge(ctx context.Context, client *api.Client, jobs []purser.JobID) error {
	return until(ctx, "the first charge", func(ctx context.Context) (bool, error) {
		for _, id := range jobs {
			j, err := client.Job(ctx, string(id), "")
			if err != nil || j.Cost > 0 {
				return err == nil, err
			}
		}
		return false, nil
	})
}

func showLink(ctx context.Context, w io.Writer, client *api.Client) error {
	l, err := client.Login(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nLook at it: %s\n(works once, until %s; another one: purser token link)\nCtrl-C drains and stops.\n", l.URL, l.Till.Local().Format(time.Kitchen))
	return err
}
