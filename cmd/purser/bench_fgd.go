package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/bench"
)

func newBenchFGD() *cobra.Command {
	c := &cobra.Command{
		Use: "e6", Short: "Fill 1,213 private machines with pods of a real trace: devices in use, and the price of the rest", Args: cobra.NoArgs,
		Long: "Place pods that ask for 130 % of the devices on private machines, one after the other, by the published\n" +
			"rules and by ours, and price what does not fit on a cloud's machines. --data names a folder in the layout\n" +
			"that docs/benchmarks.md describes. With -o json it prints one line a figure: case, method, value, unit, seconds.",
	}
	output := outputFlag(c)
	data := c.Flags().String("data", os.Getenv("PURSER_DATA"), "folder with the traces (default: $PURSER_DATA)")
	seeds := c.Flags().Int("seeds", 10, "how many times")
	pods := c.Flags().String("pods", "default", "list of pods: default, gpuspec33, multigpu50")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *data == "" {
			return usageError{fmt.Errorf("name the folder with the traces: --data DIR, or PURSER_DATA")}
		}
		if *seeds < 1 || *seeds > 1000 {
			return purser.Errorf(purser.KindInvalid, "purser bench", "--seeds is 1 to 1,000, not %d", *seeds)
		}
		p, err := bench.ReadPrivate(*data, *pods)
		if err != nil {
			return err
		}
		rows := p.Run(*seeds, time.Now)
		if *output != "json" {
			return show(c, *output, nil, func(w io.Writer) error { return fgdTable(w, rows) })
		}
		for _, r := range rows {
			for _, f := range r.Figures() {
				if err := writeJSONLine(c.OutOrStdout(), f); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return c
}

// fgdTable shows means, and the least and the most of the seeds.
func fgdTable(w io.Writer, rows []bench.PrivateRow) error {
	var table [][]string
	for _, r := range rows {
		used, least, most := bench.Spread(r.Allocation)
		cloud, low, high := bench.Spread(r.Cloud)
		nowhere, _, _ := bench.Spread(r.Nowhere)
		_, _, moved := bench.Spread(r.Moved)
		table = append(table, []string{
			r.Method, fmt.Sprintf("%.2f %%", used), fmt.Sprintf("%.2f to %.2f", least, most),
			fmt.Sprintf("$%.0f/h", cloud), fmt.Sprintf("%.0f to %.0f", low, high),
			fmt.Sprintf("%.1f", nowhere), fmt.Sprintf("%.1f %%", moved), fmt.Sprintf("%.1f", r.Seconds),
		})
	}
	return grid(w, []string{"METHOD", "DEVICES USED", "LEAST TO MOST", "CLOUD", "LEAST TO MOST", "NOWHERE", "MOVED", "SECONDS"}, table, 1, 2, 3, 4, 5, 6, 7)
}
