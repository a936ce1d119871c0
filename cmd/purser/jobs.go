package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newJobs() *cobra.Command {
	c := &cobra.Command{Use: "jobs [JOB]", Short: "List jobs, or show one with its tasks", Args: cobra.MaximumNArgs(1)}
	remoteFlags(c)
	projectFlag(c)
	output := outputFlag(c)
	live := c.Flags().Bool("live", false, "only jobs that have not ended")
	limit := c.Flags().Int("limit", 100, "how many at most")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return showJob(c, client, args[0], *output)
		}
		q := url.Values{"limit": {strconv.Itoa(*limit)}}
		if p := projectOf(c); p != "" {
			q.Set("project", p)
		}
		if *live {
			q.Set("live", "true")
		}
		out, err := client.Jobs(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error {
			return errors.Join(printJobs(w, out.Jobs, time.Now()), printQueued(w, out.Jobs))
		})
	}
	return c
}

func printJobs(w io.Writer, jobs []api.Job, now time.Time) error {
	if len(jobs) == 0 {
		_, err := fmt.Fprintln(w, "No jobs. Submit some with: purser submit -f FILE")
		return err
	}
	rows := [][]string{}
	for _, j := range jobs {
		rows = append(rows, []string{
			j.Project + "/" + j.Name, string(j.State), counts(j.Tasks), fmt.Sprintf("%.0f %%", 100*j.Progress),
			j.Cost.String() + rehearsed(j.Rehearsal), age(j.SubmittedAt, now), string(j.ID),
		})
	}
	return grid(w, []string{"JOB", "STATE", "TASKS", "DONE", "COST SO FAR", "AGE", "ID"}, rows, 3, 4, 5)
}

// printQueued says why jobs are still queued: what they wait for, or why they have no place.
func printQueued(w io.Writer, jobs []api.Job) error {
	shown := 0
	for _, j := range jobs {
		if j.State != purser.JobQueued || j.Reason == "" {
			continue
		}
		if shown++; shown > maxRows {
			break
		}
		if shown == 1 {
			_, _ = fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintf(w, "%s/%s: %s\n", j.Project, j.Name, j.Reason); err != nil {
			return err
		}
	}
	return nil
}

// counts writes the tasks of a job as running/all with what needs attention.
func counts(t api.TaskCounts) string {
	all := t.Queued + t.Placed + t.Running + t.Succeeded + t.Failed + t.Lost + t.Cancelled
	s := fmt.Sprintf("%d of %d running", t.Running, all)
	switch {
	case all > 0 && t.Succeeded == all:
		s = fmt.Sprintf("%d succeeded", all)
	case t.Succeeded > 0:
		s += fmt.Sprintf(", %d succeeded", t.Succeeded)
	}
	if t.Failed > 0 {
		s += fmt.Sprintf(", %d failed", t.Failed)
	}
	return s
}

func showJob(c *cobra.Command, client *api.Client, ref, output string) error {
	job, err := client.Job(c.Context(), ref, projectOf(c))
	if err != nil {
		return err
	}
	tasks, err := client.Tasks(c.Context(), string(job.ID), "")
	if err != nil {
		return err
	}
	both := struct {
		api.Job
		AllTasks api.Tasks `json:"all"`
	}{job, tasks}
	return show(c, output, both, func(w io.Writer) error {
		if err := printJobs(w, []api.Job{job}, time.Now()); err != nil {
			return err
		}
		if job.Reason != "" {
			_, _ = fmt.Fprintf(w, "\n%s\n", job.Reason)
		}
		_, _ = fmt.Fprintln(w)
		rows := [][]string{}
		for _, t := range tasks.Tasks {
			exit := ""
			if t.ExitCode != nil {
				exit = strconv.Itoa(*t.ExitCode)
			}
			rows = append(rows, []string{
				fmt.Sprintf("%s[%d]", t.Group, t.Replica), strconv.Itoa(t.Attempt), string(t.State), t.Variant,
				string(t.Lease), exit, t.Reason, string(t.ID),
			})
		}
		return grid(w, []string{"REPLICA", "ATTEMPT", "STATE", "VARIANT", "LEASE", "EXIT", "REASON", "TASK"}, rows, 1, 5)
	})
}

func newCancel() *cobra.Command {
	c := &cobra.Command{Use: "cancel JOB", Short: "End a job", Args: cobra.ExactArgs(1)}
	remoteFlags(c)
	projectFlag(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		job, err := client.Cancel(c.Context(), args[0], projectOf(c))
		if err != nil {
			return err
		}
		return show(c, *output, job, func(w io.Writer) error {
			if job.State.Ended() {
				_, err = fmt.Fprintf(w, "%s/%s is %s.\n", job.Project, job.Name, job.State)
			} else {
				_, err = fmt.Fprintf(w, "%s/%s ends as soon as its %d running tasks have stopped.\n", job.Project, job.Name, job.Tasks.Running)
			}
			return err
		})
	}
	return c
}
