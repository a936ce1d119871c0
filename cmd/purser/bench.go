package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/app"
	"purser/bench"
)

func newBench() *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Measure the planner on real traces and prices"}
	c.AddCommand(newBenchLadder(), newBenchMarket(), newBenchEva(), newBenchFleet(), newBenchFGD(), newBenchVBP())
	return c
}

func newBenchLadder() *cobra.Command {
	c := &cobra.Command{
		Use: "ladder", Short: "Plan 100 to 100,000 jobs made from real traces: bound, baselines, plan, gap, time, memory", Args: cobra.NoArgs,
		Long: "Plan rungs of jobs made from real traces. --data names a folder in the layout that\n" +
			"docs/benchmarks.md describes. With -o json it prints one line a figure: case, method, value, unit, seconds.",
	}
	output := outputFlag(c)
	data := c.Flags().String("data", os.Getenv("PURSER_DATA"), "folder with the traces (default: $PURSER_DATA)")
	rungs := c.Flags().IntSlice("jobs", []int{100, 1000, 10000}, "the rungs")
	offers := c.Flags().Int("offers", 300, "offers to choose from")
	seed := c.Flags().Uint64("seed", 1, "of the generator")
	limit := c.Flags().Duration("time", 10*time.Second, "how long each plan may take")
	unlike := c.Flags().Bool("unlike", false, "the second ladder: no two jobs are alike")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *data == "" {
			return usageError{fmt.Errorf("name the folder with the traces: --data DIR, or PURSER_DATA")}
		}
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "reading traces and prices …")
		l, err := bench.ReadLadder(c.Context(), *data)
		if err != nil {
			return err
		}
		rt, err := app.Solver(c.Context(), solverCache())
		if err != nil {
			return err
		}
		defer func() { _ = rt.Close(c.Context()) }()
		var rows, thumbs [][]string
		head := []string{"JOBS"}
		for _, n := range *rungs {
			if n < 1 || n > 1_000_000 {
				return purser.Errorf(purser.KindInvalid, "purser bench", "a rung has 1 to 1,000,000 jobs, not %d", n)
			}
			run := bench.RunRung
			if *unlike {
				run = bench.RunUnlike
			}
			r, err := run(c.Context(), rt, l, n, *offers, *seed, *limit, time.Now)
			if err != nil {
				return err
			}
			if *output == "json" {
				for _, f := range r.Figures() {
					if err := writeJSONLine(c.OutOrStdout(), f); err != nil {
						return err
					}
				}
				continue
			}
			rows = append(rows, ladderRow(r))
			thumb := []string{fmt.Sprint(r.Jobs)}
			for _, b := range r.Baselines {
				if len(thumbs) == 0 {
					head = append(head, strings.ToUpper(b.Name))
				}
				thumb = append(thumb, b.Text())
			}
			thumbs = append(thumbs, thumb)
			_, _ = fmt.Fprintf(c.ErrOrStderr(), "%s: %.2f s\n", r.Name(), r.Seconds)
		}
		if *output == "json" {
			return nil
		}
		return show(c, *output, nil, func(w io.Writer) error {
			if err := grid(w, []string{"JOBS", "REPLICAS", "OFFERS", "CLASSES", "BOUND", "OURS", "NO PACKING", "GAP", "MACHINES", "UNPLACED", "SECONDS", "CPU", "PEAK"}, rows, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12); err != nil {
				return err
			}
			_, _ = fmt.Fprintln(w)
			return grid(w, head, thumbs, 0, 1, 2, 3, 4, 5)
		})
	}
	return c
}

func ladderRow(r bench.Result) []string {
	return []string{
		fmt.Sprint(r.Jobs), fmt.Sprint(r.Replicas), fmt.Sprint(r.Offers), fmt.Sprint(r.Classes), r.Bound.String(), r.Ours.String(), r.NoPacking.String(),
		fmt.Sprintf("%.3f %%", 100*r.Gap), fmt.Sprint(r.Machines), fmt.Sprint(r.Unplaced), fmt.Sprintf("%.2f", r.Seconds), fmt.Sprintf("%.2f", r.CPUSeconds), fmt.Sprintf("%.0f MiB", r.PeakMiB),
	}
}
