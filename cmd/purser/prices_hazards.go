package main

import (
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"
)

func newPricesHazards() *cobra.Command {
	c := &cobra.Command{
		Use: "hazards", Short: "List how often spot machines are taken back, with the uncertainty", Args: cobra.NoArgs,
		Long: "List how often spot machines are taken back: preemptions per hour or day of running, the interval,\n" +
			"in the same unit, that holds it with 80 %, the preemptions of our own machines and the hours that they\n" +
			"ran (old ones count less), and what the estimate began with.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	c.Flags().String("provider", "", "only this provider")
	c.Flags().String("region", "", "only this region")
	c.Flags().String("type", "", "only this instance type")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q := url.Values{}
		setGiven(c, q, "provider", "region", "type")
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.Hazards(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error {
			if len(out.Hazards) == 0 {
				_, err := fmt.Fprintln(w, "No hazard is known: no feed tells one, and no spot machine of ours has run.")
				return err
			}
			rows := [][]string{}
			for _, h := range out.Hazards {
				mean, interval := rate(h.Mean, h.Low, h.High)
				rows = append(rows, []string{
					h.InstanceType, place(h.Provider, h.Region, h.Zone), mean, interval, fmt.Sprintf("%.1f", h.Events), fmt.Sprintf("%.0f", h.Hours), h.Basis,
				})
			}
			return grid(w, []string{"MACHINE", "WHERE", "PREEMPTED", "80 PERCENT WITHIN", "EVENTS", "HOURS", "BASIS"}, rows, 2, 3, 4, 5)
		})
	}
	return c
}

// rate shows preemptions per hour and their interval in the unit that reads best: an
// hour, a day, or a month of 730 hours.
func rate(mean, low, high float64) (rate, interval string) {
	unit, hours := "a month", 730.0
	switch {
	case mean >= 1:
		unit, hours = "an hour", 1
	case mean >= 0.1/24:
		unit, hours = "a day", 24
	}
	return figure(mean*hours) + " " + unit, figure(low*hours) + " to " + figure(high*hours)
}

// figure shows a number with two digits that say something, or all before the point.
func figure(x float64) string {
	switch {
	case x >= 9.95:
		return fmt.Sprintf("%.0f", x)
	case x >= 0.95:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.001:
		return fmt.Sprintf("%.2g", x)
	case x > 0:
		return "<0.001"
	default:
		return "0"
	}
}
