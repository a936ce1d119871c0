package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newPricesHistory() *cobra.Command {
	c := &cobra.Command{
		Use: "history OFFER", Short: "Show what was in force for an offer over time, with a plot", Args: cobra.ExactArgs(1),
		Long:    "Show what was in force for an offer over time: every change, or a row for each day in which there\nwas one. Days reach further back. On a day that is not shown the last price of the one before holds.",
		Example: "  purser prices history aws/us-east-1/us-east-1a/p5.48xlarge/spot --from 2026-11-01 --by day",
	}
	remoteFlags(c)
	output := outputFlag(c)
	spanFlags(c)
	by := c.Flags().String("by", "change", "change or day")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *by != "change" && *by != "day" {
			return usageError{fmt.Errorf("--by takes change or day, not %q", *by)}
		}
		q := url.Values{"offer": {args[0]}, "by": {*by}}
		if err := setTimes(c, q, "from", "to"); err != nil {
			return err
		}
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.PriceHistory(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error {
			if len(out.Points)+len(out.Days) == 0 {
				_, err := fmt.Fprintf(w, "Nothing is known of offer %s in this time.\n", out.Offer)
				return err
			}
			if err := printPlot(c, w, "USD per hour of the machine, UTC:", historySteps(out), q); err != nil {
				return err
			}
			if *by == "day" {
				return printDays(w, out.Days)
			}
			return printPoints(w, out.Points)
		})
	}
	return c
}

// spanFlags adds the flags of verbs that show prices over time.
func spanFlags(c *cobra.Command) {
	c.Flags().String("from", "", "from when on: 2026-11-20 or an ISO time (default: 30 days before --to)")
	c.Flags().String("to", "", "until when (default: now)")
	c.Flags().Bool("no-plot", false, "only the table")
}

// printPlot plots steps over the time that was asked for, unless it is not wanted. A
// time that was not given begins with the first price.
func printPlot(c *cobra.Command, w io.Writer, title string, steps []plotStep, q url.Values) error {
	if no, _ := c.Flags().GetBool("no-plot"); no {
		return nil
	}
	to, err := time.Parse(time.RFC3339, q.Get("to"))
	if err != nil {
		to = time.Now()
	}
	from, err := time.Parse(time.RFC3339, q.Get("from"))
	if err != nil {
		from = to.AddDate(0, 0, -30)
		if first := slices.IndexFunc(steps, func(s plotStep) bool { return !s.gone }); first >= 0 && steps[first].at.After(from) {
			from = steps[first].at
		}
	}
	plot := usualPlot().draw(steps, from, to)
	if plot == "" {
		return nil
	}
	_, err = fmt.Fprintf(w, "%s\n%s\n", title, plot)
	return err
}

// historySteps makes steps of points, or of days: over a day in which its price changed
// an offer costs the day's mean, after it the last price.
func historySteps(h api.PriceHistory) []plotStep {
	var out []plotStep
	for _, p := range h.Points {
		out = append(out, plotStep{p.From, p.UnitPrice.USD(), p.Gone})
	}
	for _, d := range h.Days {
		day, err := time.Parse(time.DateOnly, d.Day)
		if err != nil {
			continue
		}
		if n := len(out); n > 0 && out[n-1].at.Equal(day) {
			out = out[:n-1] // the day says more than what the one before ended with
		}
		out = append(out, plotStep{day, d.Mean.USD(), d.Hours == 0}, plotStep{day.AddDate(0, 0, 1), d.Last.USD(), d.Last == 0})
	}
	return out
}

// latest gives the rows of a table that has the newest last, as many as one reads, and
// says how many it leaves out.
func latest(w io.Writer, rows [][]string) [][]string {
	if n := len(rows) - maxRows; n > 0 {
		_, _ = fmt.Fprintf(w, "The newest %d; %d earlier ones are left out (-o json has all).\n", maxRows, n)
		rows = rows[n:]
	}
	return rows
}

// cannotBeHad is said in place of a price.
const cannotBeHad = "not to be had"

func printPoints(w io.Writer, points []purser.PricePoint) error {
	rows := [][]string{}
	before := purser.USDPerHour(0)
	for _, p := range points {
		price := p.UnitPrice.String()
		if p.Gone {
			price = cannotBeHad
		}
		rows = append(rows, []string{moment(p.From), price, change(before, p.UnitPrice), p.Source})
		before = p.UnitPrice
	}
	return grid(w, []string{"FROM", "PRICE", "CHANGE", "SOURCE"}, latest(w, rows), 1, 2)
}

// change says how a price differs from the one before; empty when one of them is none.
func change(before, now purser.USDPerHour) string {
	if before <= 0 || now <= 0 {
		return ""
	}
	return fmt.Sprintf("%+.1f %%", 100*(now.USD()/before.USD()-1))
}

func printDays(w io.Writer, days []api.PriceDay) error {
	rows := [][]string{}
	for _, d := range days {
		last := d.Last.String()
		if d.Last == 0 {
			last = cannotBeHad
		}
		row := []string{d.Day, d.Low.String(), d.High.String(), d.Mean.String(), last, fmt.Sprintf("%.1f", d.Hours)}
		if d.Hours == 0 {
			row[1], row[2], row[3] = "", "", ""
		}
		rows = append(rows, row)
	}
	return grid(w, []string{"DAY", "LOW", "HIGH", "MEAN", "LAST", "HOURS"}, latest(w, rows), 1, 2, 3, 4, 5)
}

func newPricesCheapest() *cobra.Command {
	c := &cobra.Command{
		Use: "cheapest --accelerator MODEL", Short: "Show the cheapest offer of an accelerator over time, with a plot", Args: cobra.NoArgs,
		Long:    "Show the cheapest offer of an accelerator over time: a row whenever another offer is the cheapest or\nits price changes. A span of more than 60 days is told day by day.",
		Example: "  purser prices cheapest --accelerator H100 --option spot --region us-east-1",
	}
	remoteFlags(c)
	output := outputFlag(c)
	filters := offerFlags(c)
	spanFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		q, _, err := filters()
		if err != nil {
			return err
		}
		if q.Get("accelerator") == "" && q.Get("id") == "" {
			return usageError{fmt.Errorf("say of which accelerator: --accelerator H100")}
		}
		if err := setTimes(c, q, "from", "to"); err != nil {
			return err
		}
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.Cheapest(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error { return printCheapest(c, w, out, q) })
	}
	return c
}

func printCheapest(c *cobra.Command, w io.Writer, out api.Cheapest, q url.Values) error {
	if len(out.Steps) == 0 {
		_, err := fmt.Fprintln(w, "None could be had in this time.")
		return err
	}
	var steps []plotStep
	rows := [][]string{}
	for _, s := range out.Steps {
		steps = append(steps, plotStep{s.From, s.UnitPrice, s.Offer == ""})
		price, offer := dollars(s.UnitPrice)+"/h", string(s.Offer)
		if s.Offer == "" {
			price, offer = "", "none could be had"
		}
		rows = append(rows, []string{moment(s.From), price, offer})
	}
	if err := printPlot(c, w, "USD per hour of a "+out.Per+", UTC:", steps, q); err != nil {
		return err
	}
	head := perTitles[out.Per]
	if head == "" {
		head = "PRICE"
	}
	return grid(w, []string{"FROM", head, "OFFER"}, latest(w, rows), 1)
}
