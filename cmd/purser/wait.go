package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"purser"
	"purser/api"
)

func newWait() *cobra.Command {
	c := &cobra.Command{
		Use: "wait JOB…", Short: "Wait until jobs have ended", Args: cobra.MinimumNArgs(1),
		Long: "Wait until jobs have ended. The exit code is 0 when all succeeded and 4 when one failed or was cancelled.",
	}
	remoteFlags(c)
	projectFlag(c)
	timeout := c.Flags().Duration("timeout", 0, "give up after this time; 0 waits for ever")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		return waitFor(c, client, args, *timeout)
	}
	return c
}

// pollEvery is how often a waiting verb asks.
const pollEvery = time.Second

// waitFor waits for all jobs and shows how far they are.
func waitFor(c *cobra.Command, client *api.Client, refs []string, timeout time.Duration) error {
	ctx := c.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	show := newProgress(c.ErrOrStderr())
	defer show.close()
	failed := false
	for _, ref := range refs {
		job, err := waitOne(ctx, client, ref, projectOf(c), show)
		if err != nil {
			if ctx.Err() == context.DeadlineExceeded {
				return purser.Errorf(purser.KindUnavailable, "purser wait", "%s has not ended within %s", ref, timeout)
			}
			return err
		}
		failed = failed || job.State != purser.JobSucceeded
	}
	if failed {
		return exitError(exitJobFailed)
	}
	return nil
}

func waitOne(ctx context.Context, client *api.Client, ref, project string, show *progress) (api.Job, error) {
	for {
		job, err := client.Job(ctx, ref, project)
		if err != nil && purser.KindOf(err) != purser.KindUnavailable {
			return job, err // a server that restarts is waited for
		}
		if err == nil {
			show.set(job)
			if job.State.Ended() {
				return job, nil
			}
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return job, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// progress shows a bar a job on a terminal, and a line a change elsewhere.
type progress struct {
	w    io.Writer
	bars *mpb.Progress
	jobs map[purser.JobID]*jobBar
}

type jobBar struct {
	bar   *mpb.Bar
	state string
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, jobs: map[purser.JobID]*jobBar{}}
	if isTerminal(w) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
	}
	return p
}

func (p *progress) set(j api.Job) {
	b := p.jobs[j.ID]
	if b == nil {
		b = &jobBar{}
		p.jobs[j.ID] = b
		if p.bars != nil {
			b.bar = p.bars.AddBar(100, mpb.PrependDecorators(decor.Name(j.Project+"/"+j.Name+" ")),
				mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + b.state })))
		}
	}
	state := fmt.Sprintf("%s, %s", j.State, counts(j.Tasks))
	changed := state != b.state
	b.state = state
	if b.bar == nil {
		if changed {
			_, _ = fmt.Fprintf(p.w, "%s/%s: %s\n", j.Project, j.Name, state)
		}
		return
	}
	b.bar.SetCurrent(int64(100 * j.Progress))
	if j.State.Ended() {
		b.bar.Abort(false)
	}
}

func (p *progress) close() {
	for _, b := range p.jobs {
		if b.bar != nil {
			b.bar.Abort(false)
		}
	}
	if p.bars != nil {
		p.bars.Wait()
	}
}
