package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/app"
	"purser/bench"
)

func newBenchEva() *cobra.Command {
	c := &cobra.Command{
		Use: "e1", Short: "Pack jobs on AWS types, at once and as they arrive: bounds, baselines, plan, time", Args: cobra.NoArgs,
		Long: "Pack the jobs of Eva (EuroSys'25) on its two catalogues: (a) the 200 at once, in $/h, (b) the 200 as\n" +
			"they arrive and (c) all 6,274 of the trace, in $ and hours to completion on average, each planner in the\n" +
			"same simulator. (c) takes a minute or two. --data names a folder in the layout that docs/benchmarks.md\n" +
			"describes. With -o json it prints one line a figure: case, method, value, unit, seconds.",
	}
	output := outputFlag(c)
	data := c.Flags().String("data", os.Getenv("PURSER_DATA"), "folder with the traces (default: $PURSER_DATA)")
	parts := c.Flags().StringSlice("parts", []string{"a", "b", "c"}, "of the experiment")
	samples := c.Flags().Int("samples", 0, "further samples of 200 jobs in (b)")
	mix := c.Flags().Uint64("mix", 0, "which programs the jobs of (c) run; 0: those of the published 200, others: drawn")
	seed := c.Flags().Uint64("seed", 0, "of our planner's search in (b) and (c)")
	tries := c.Flags().Int("tries", 0, "of our planner in each round of (b) and (c); 0: its default")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *data == "" {
			return usageError{fmt.Errorf("name the folder with the traces: --data DIR, or PURSER_DATA")}
		}
		if *samples < 0 || *samples > 100 || *tries < 0 || *tries > 1_000_000 {
			return purser.Errorf(purser.KindInvalid, "purser bench", "--samples is 0 to 100, --tries 0 to 1,000,000")
		}
		for _, p := range *parts {
			if !slices.Contains([]string{"a", "b", "c"}, p) {
				return purser.Errorf(purser.KindInvalid, "purser bench", "--parts are a, b and c, not %q", p)
			}
		}
		rt, err := app.Solver(c.Context(), solverCache())
		if err != nil {
			return err
		}
		defer func() { _ = rt.Close(c.Context()) }()
		arrivals := bench.Arrivals{Dir: *data, Seed: *seed, Tries: *tries, Now: time.Now, Say: func(s string) { _, _ = fmt.Fprintln(c.ErrOrStderr(), s) }}
		var figures []bench.Figure
		for _, part := range []struct {
			name string
			run  func(context.Context) ([]bench.Figure, error)
		}{
			{"a", func(ctx context.Context) ([]bench.Figure, error) { return bench.RunEva(ctx, rt, *data, time.Now) }},
			{"b", func(ctx context.Context) ([]bench.Figure, error) { return arrivals.RunJobs(ctx, rt, *samples) }},
			{"c", func(ctx context.Context) ([]bench.Figure, error) { return arrivals.RunFull(ctx, rt, *mix) }},
			{"c", func(ctx context.Context) ([]bench.Figure, error) { return arrivals.RunRounds(ctx, 1000) }},
		} {
			if !slices.Contains(*parts, part.name) {
				continue
			}
			more, err := part.run(c.Context())
			if err != nil {
				return err
			}
			figures = append(figures, more...)
		}
		return showFleetFigures(c, *output, figures)
	}
	return c
}
