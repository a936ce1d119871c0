package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"purser/app"
	"purser/bench"
)

func newBenchEva() *cobra.Command {
	c := &cobra.Command{
		Use: "e1", Short: "Pack Eva's 200 tasks on AWS types: bounds, baselines, plan, gap, time", Args: cobra.NoArgs,
		Long: "Pack the tasks of Eva (EuroSys'25) at once on each of its two catalogues and print $/h. --data names\n" +
			"a folder in the layout that docs/benchmarks.md describes. With -o json it prints one line a figure.",
	}
	output := outputFlag(c)
	data := c.Flags().String("data", os.Getenv("PURSER_DATA"), "folder with the traces (default: $PURSER_DATA)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *data == "" {
			return usageError{fmt.Errorf("name the folder with the traces: --data DIR, or PURSER_DATA")}
		}
		rt, err := app.Solver(c.Context(), solverCache())
		if err != nil {
			return err
		}
		defer func() { _ = rt.Close(c.Context()) }()
		figures, err := bench.RunEva(c.Context(), rt, *data, time.Now)
		if err != nil {
			return err
		}
		return showFleetFigures(c, *output, figures)
	}
	return c
}
