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

func newBenchFleet() *cobra.Command {
	c := &cobra.Command{
		Use: "e4", Short: "Plan fleets for a language model: Mélange's program, best single type, plan, reserve, time", Args: cobra.NoArgs,
		Long: "Plan fleets that serve Llama 2 70B to the requests of a real trace, from measured times and real\n" +
			"prices, and recompute the totals of Mélange's tables. --data names a folder in the layout that\n" +
			"docs/benchmarks.md describes. With -o json it prints one line a figure.",
	}
	output := outputFlag(c)
	data := c.Flags().String("data", os.Getenv("PURSER_DATA"), "folder with traces and prices (default: $PURSER_DATA)")
	tpot := c.Flags().Duration("tpot", 120*time.Millisecond, "objective: mean time per output token")
	rates := c.Flags().Float64Slice("rates", []float64{1, 2, 4, 8, 16, 32}, "requests per second")
	limit := c.Flags().Duration("time", 10*time.Second, "how long each plan may take")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *data == "" {
			return usageError{fmt.Errorf("name the folder with the traces: --data DIR, or PURSER_DATA")}
		}
		if *tpot <= 0 || *limit <= 0 {
			return purser.Errorf(purser.KindInvalid, "purser bench", "--tpot and --time lie above 0")
		}
		figures, err := bench.MelangePaper(*data)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "reading traces and prices …")
		f, err := bench.ReadFleet(c.Context(), *data)
		if err != nil {
			return err
		}
		rt, err := app.Solver(c.Context(), solverCache())
		if err != nil {
			return err
		}
		defer func() { _ = rt.Close(c.Context()) }()
		ours, err := f.Run(c.Context(), rt, bench.FleetRun{TPOT: tpot.Seconds(), Rates: *rates, Limit: *limit, Now: time.Now})
		if err != nil {
			return err
		}
		return showFleetFigures(c, *output, append(figures, ours...))
	}
	return c
}

// showFleetFigures prints figures as a table with a row each, or as lines of JSON.
func showFleetFigures(c *cobra.Command, output string, figures []bench.Figure) error {
	if output == "json" {
		for _, f := range figures {
			if err := writeJSONLine(c.OutOrStdout(), f); err != nil {
				return err
			}
		}
		return nil
	}
	return show(c, output, nil, func(w io.Writer) error {
		var rows [][]string
		for _, f := range figures {
			value, unit, seconds := fmt.Sprintf("%.2f", f.Value), f.Unit, ""
			if rest, ok := strings.CutPrefix(f.Unit, "share"); ok {
				value, unit = fmt.Sprintf("%.3f", 100*f.Value), "%"+rest
			}
			if f.Seconds > 0 {
				seconds = fmt.Sprintf("%.2f", f.Seconds)
			}
			rows = append(rows, []string{f.Case, f.Method, value, unit, seconds})
		}
		return grid(w, []string{"CASE", "METHOD", "VALUE", "UNIT", "SECONDS"}, rows, 2, 4)
	})
}
