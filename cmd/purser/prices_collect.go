package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"purser"
	"purser/api"
)

// collectEvery is how often the server is asked how collections go.
const collectEvery = 500 * time.Millisecond

func newPricesCollect() *cobra.Command {
	c := &cobra.Command{
		Use: "collect --source NAME…", Short: "Have feeds of prices collected now, and wait until they have", Args: cobra.NoArgs,
		Long: "Have feeds of prices collected now by the server, and wait until they have. One that fails does not\n" +
			"stop the others; the exit code is 1 when one failed. Interrupting ends only the waiting.",
		Example: "  purser prices collect --source aws-spot,gcp",
	}
	remoteFlags(c)
	output := outputFlag(c)
	names := c.Flags().StringSlice("source", nil, "the feeds, such as aws-spot,gcp; may be repeated")
	noWait := c.Flags().Bool("no-wait", false, "only have them begun")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		known, err := client.Sources(c.Context())
		if len(*names) == 0 {
			return noSourceNamed(known.Sources)
		}
		if err != nil {
			return err
		}
		all, err := collectionsOf(*names, known.Sources)
		if err != nil {
			return err
		}
		if err := collectAll(c, client, all, *noWait); err != nil {
			return err
		}
		return showCollected(c, *output, all)
	}
	return c
}

// noSourceNamed says which sources there are. Those of imported files and of own
// machines, which say nothing of what they give, cannot be collected.
func noSourceNamed(known []api.Source) error {
	names := collectable(known)
	if len(names) == 0 {
		return usageError{fmt.Errorf("say with --source which feeds to collect (purser prices sources lists them)")}
	}
	return usageError{fmt.Errorf("say with --source which feeds to collect, of: %s", strings.Join(names, ", "))}
}

func collectable(known []api.Source) []string {
	var names []string
	for _, s := range known {
		if s.Says != "" {
			names = append(names, s.Name)
		}
	}
	return names
}

// collection is one feed that is collected for this verb.
type collection struct {
	before *time.Time // when the collection before it ended
	source api.Source // as it was seen last
	err    error      // why it was not begun
	ended  bool
}

// collectionsOf finds the feeds that are named, each once.
func collectionsOf(names []string, known []api.Source) ([]*collection, error) {
	var all []*collection
	for _, name := range names {
		i := slices.IndexFunc(known, func(s api.Source) bool { return s.Name == name })
		if i < 0 {
			e := purser.Errorf(purser.KindNotFound, "purser prices collect", "there is no feed of prices named %q", name)
			e.Hint = "the feeds are: " + strings.Join(collectable(known), ", ")
			return nil, e
		}
		if !slices.ContainsFunc(all, func(x *collection) bool { return x.source.Name == name }) {
			all = append(all, &collection{before: known[i].EndedAt, source: known[i]})
		}
	}
	return all, nil
}

// collectAll has feeds collected and, unless noWait, waits for them. It fails when none
// was begun, or when the server refuses to say how they go.
func collectAll(c *cobra.Command, client *api.Client, all []*collection, noWait bool) error {
	ctx := c.Context()
	tell := newSourceLines(c.ErrOrStderr())
	defer tell.close()
	begun := 0
	for _, x := range all {
		name := x.source.Name
		source, err := client.CollectSource(ctx, name)
		switch {
		case ctx.Err() != nil:
			return stoppedWaiting(ctx)
		case err != nil:
			x.err, x.ended = err, true
			tell.set(name, "not begun: "+err.Error(), true)
		default:
			begun++
			x.source = source
			x.source.Name = name // what is waited for, whatever is answered
			tell.set(name, "asked for", noWait)
		}
	}
	if begun == 0 {
		return all[0].err
	}
	if noWait {
		return nil
	}
	return awaitCollections(ctx, client, all, collectEvery, tell.set)
}

// awaitCollections asks until all have ended, and tells how each one goes. A server that
// restarts is waited for.
func awaitCollections(ctx context.Context, client *api.Client, all []*collection, every time.Duration, tell func(name, says string, ended bool)) error {
	for {
		out, err := client.Sources(ctx)
		if ctx.Err() != nil {
			return stoppedWaiting(ctx)
		}
		if err != nil && purser.KindOf(err) != purser.KindUnavailable {
			return err
		}
		open := false
		for _, x := range all {
			if !x.ended {
				x.look(out.Sources)
				tell(x.source.Name, x.says(), x.ended)
			}
			open = open || !x.ended
		}
		if !open {
			return nil
		}
		if sleep(ctx, every) != nil {
			return stoppedWaiting(ctx)
		}
	}
}

// stoppedWaiting is the error of who interrupts: the server goes on.
func stoppedWaiting(ctx context.Context) error {
	return fmt.Errorf("stopped waiting, the server goes on collecting (see: purser prices sources): %w", ctx.Err())
}

// look takes over what the server says of the feed. It has ended when a later end is
// noted than before, and none is under way.
func (x *collection) look(sources []api.Source) {
	i := slices.IndexFunc(sources, func(s api.Source) bool { return s.Name == x.source.Name })
	if i < 0 {
		return
	}
	x.source = sources[i]
	at := x.source.EndedAt
	x.ended = at != nil && x.source.BeganAt == nil && (x.before == nil || !at.Equal(*x.before))
}

// says is how the collection goes, or went.
func (x *collection) says() string {
	switch {
	case x.err != nil:
		return "not begun"
	case x.ended && x.source.LastError != "":
		return "failed"
	case x.ended:
		return strings.TrimSuffix("done: "+x.source.Progress, ": ")
	case x.source.BeganAt == nil:
		return "waiting for its turn"
	default:
		return strings.TrimSuffix("collecting: "+x.source.Progress, ": ")
	}
}

// showCollected prints what each feed brought, and fails when one failed.
func showCollected(c *cobra.Command, output string, all []*collection) error {
	out := api.Sources{Sources: []api.Source{}}
	var rows, notes [][]string
	failed := false
	for _, x := range all {
		out.Sources = append(out.Sources, x.source)
		var note []string
		result, brought := "done", x.source.Progress
		switch {
		case x.err != nil:
			result, brought, note = "not begun", "", []string{x.err.Error()}
		case !x.ended:
			result, brought = "asked for", ""
		case x.source.LastError != "":
			result, note = "failed", []string{failureOf(x.source)}
		}
		if x.ended && x.err == nil && brought == "" {
			brought = "nothing"
		}
		if x.ended && x.source.Alarm != "" {
			note = append(note, "alarm: "+x.source.Alarm)
		}
		failed = failed || result == "failed" || result == "not begun"
		rows, notes = append(rows, []string{x.source.Name, result, brought}), append(notes, note)
	}
	err := show(c, output, out, func(w io.Writer) error {
		return gridWithNotes(w, []string{"SOURCE", "RESULT", "BROUGHT"}, rows, notes)
	})
	if err == nil && failed {
		return exitError(exitFailed)
	}
	return err
}

// sourceLines shows a line a feed that is kept up to date on a terminal, and a line a
// change elsewhere.
type sourceLines struct {
	w     io.Writer
	bars  *mpb.Progress
	lines map[string]*sourceLine
}

type sourceLine struct {
	bar  *mpb.Bar
	says atomic.Pointer[string] // read by the terminal's own goroutine
}

func newSourceLines(w io.Writer) *sourceLines {
	l := &sourceLines{w: cleanWriter{w}, lines: map[string]*sourceLine{}}
	if isTerminal(w) {
		l.bars = mpb.New(mpb.WithOutput(w))
	}
	return l
}

func (l *sourceLines) set(name, says string, ended bool) {
	says = printable(oneLine(says))
	line := l.lines[name]
	if line == nil {
		line = &sourceLine{}
		line.says.Store(new(string))
		l.lines[name] = line
		if l.bars != nil {
			line.bar = l.bars.New(0, mpb.NopStyle(), mpb.PrependDecorators(
				decor.Name(printable(name)+"  ", decor.WCSyncSpaceR), decor.Any(func(decor.Statistics) string { return *line.says.Load() })))
		}
	}
	if says != *line.says.Swap(&says) && line.bar == nil {
		_, _ = fmt.Fprintf(l.w, "%s: %s\n", name, says)
	}
	if ended && line.bar != nil {
		line.bar.Abort(false)
	}
}

func (l *sourceLines) close() {
	for _, line := range l.lines {
		if line.bar != nil {
			line.bar.Abort(false)
		}
	}
	if l.bars != nil {
		l.bars.Wait()
	}
}
