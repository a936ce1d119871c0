package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"purser/app"
	"purser/bench"
)

// errEnough ends the reading of instances.
var errEnough = errors.New("enough instances")

func newBenchVBP() *cobra.Command {
	c := &cobra.Command{
		Use: "vbp FILE…", Short: "Pack instances of vector bin packing: bins, proven bound, time", Args: cobra.MinimumNArgs(1),
		Long: "Pack instances of vector bin packing, single .vbp files or a .tar.gz of them. With -o json it prints one\n" +
			"line an instance: instance, bins, bound, seconds. Otherwise it prints a summary for each file, compared with\n" +
			"SET_summary_known.csv or SET_base_OPT.csv where one lies beside SET_instances.tar.gz.",
	}
	output := outputFlag(c)
	seconds := c.Flags().Float64("seconds", 10, "how long each instance may take")
	match := c.Flags().String("match", "", "only instances whose name fits the pattern, e.g. 'class1_250_*'")
	limit := c.Flags().Int("limit", 0, "only so many instances of each file (0: all)")
	c.RunE = func(c *cobra.Command, files []string) error {
		if *seconds < 0.001 || *seconds > 86_400 {
			return usageError{fmt.Errorf("--seconds takes 0.001 to 86400, not %g", *seconds)}
		}
		rt, err := app.Solver(c.Context(), solverCache())
		if err != nil {
			return err
		}
		defer func() { _ = rt.Close(c.Context()) }()
		var rows [][]string
		for _, file := range files {
			var results []bench.VBPResult
			err := bench.ReadVBP(file, *match, func(v bench.VBP) error {
				if *limit > 0 && len(results) == *limit {
					return errEnough
				}
				r, err := bench.SolveVBP(c.Context(), rt, v, time.Duration(*seconds*float64(time.Second)), time.Now)
				if err != nil {
					return err
				}
				results = append(results, r)
				if *output == "json" {
					return writeJSONLine(c.OutOrStdout(), r)
				}
				_, _ = fmt.Fprintf(c.ErrOrStderr(), "%s: %d bins, bound %d, %.2f s\n", r.Instance, r.Bins, r.Bound, r.Seconds)
				return nil
			})
			if err != nil && !errors.Is(err, errEnough) {
				return err
			}
			known, err := bench.ReadVBPKnown(file)
			if err != nil {
				return err
			}
			rows = append(rows, vbpRow(file, bench.SummariseVBP(results, known)))
		}
		if *output == "json" {
			return nil
		}
		return show(c, *output, nil, func(w io.Writer) error {
			return grid(w, []string{"FILE", "INSTANCES", "RATIO", "OPTIMAL", "OPEN", "BETTER", "OPEN RATIO", "CONTRADICTIONS", "SECONDS"}, rows, 1, 2, 3, 4, 5, 6, 7, 8)
		})
	}
	return c
}

func vbpRow(file string, s bench.VBPSummary) []string {
	ratio := func(r float64, of int) string {
		if of == 0 {
			return ""
		}
		return fmt.Sprintf("%.4f", r)
	}
	return []string{
		filepath.Base(file), fmt.Sprint(s.Instances), ratio(s.Ratio, s.Compared), fmt.Sprint(s.Optimal), fmt.Sprint(s.Open), fmt.Sprint(s.Better),
		ratio(s.OpenRatio, s.Open), fmt.Sprint(s.BelowLB), fmt.Sprintf("%.2f", s.Seconds),
	}
}
