package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"purser/api"
)

func newLeases() *cobra.Command {
	c := &cobra.Command{Use: "leases", Short: "List the machines that are held and what runs on them", Args: cobra.NoArgs}
	remoteFlags(c)
	output := outputFlag(c)
	all := c.Flags().Bool("all", false, "ended leases too")
	limit := c.Flags().Int("limit", 200, "how many at most")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		q := url.Values{"limit": {strconv.Itoa(*limit)}}
		if !*all {
			q.Set("live", "true")
		}
		out, err := client.Leases(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error { return printLeases(w, out.Leases, time.Now()) })
	}
	return c
}

func printLeases(w io.Writer, leases []api.Lease, now time.Time) error {
	if len(leases) == 0 {
		_, err := fmt.Fprintln(w, "No machine is held.")
		return err
	}
	rows := [][]string{}
	for _, l := range leases {
		tasks := []string{}
		for _, t := range l.Tasks {
			tasks = append(tasks, fmt.Sprintf("%s/%s[%d]", t.JobName, t.Group, t.Replica))
		}
		on := "idle"
		if len(tasks) > 0 {
			on = shorten(tasks, 3)
		}
		rows = append(rows, []string{
			l.Offer.InstanceType, place(l.Offer.Provider, l.Offer.Region, l.Offer.Zone), optionName(l.Offer.Option), devices(l.Offer.Devices, l.Offer.Accelerator),
			l.Offer.UnitPrice.String(), l.Cost.String() + rehearsed(l.Rehearsal), string(l.State), age(l.CreatedAt, now), on, string(l.ID),
		})
	}
	if err := grid(w, []string{"MACHINE", "WHERE", "OPTION", "DEVICES", "PRICE", "COST SO FAR", "STATE", "AGE", "RUNS", "LEASE"}, rows, 4, 5, 7); err != nil {
		return err
	}
	gap := "\n"
	for _, l := range leases {
		if l.Reason != "" {
			_, _ = fmt.Fprintf(w, "%s%s %s: %s\n", gap, l.ID, l.State, l.Reason)
			gap = ""
		}
	}
	return nil
}

// shorten joins a list and says how many it leaves out after n.
func shorten(list []string, n int) string {
	if len(list) <= n {
		return strings.Join(list, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], " "), len(list)-n)
}

func newCharges() *cobra.Command {
	c := &cobra.Command{Use: "charges", Short: "Print the ledger, or the month's spend", Args: cobra.NoArgs}
	remoteFlags(c)
	projectFlag(c)
	output := outputFlag(c)
	job := c.Flags().String("job", "", "only this job")
	lease := c.Flags().String("lease", "", "only this lease")
	lines := c.Flags().Bool("lines", false, "every line of the ledger in place of the month's sums")
	limit := c.Flags().Int("limit", 1000, "how many lines at most")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		if !*lines && *job == "" && *lease == "" {
			spend, err := client.Spend(c.Context())
			if err != nil {
				return err
			}
			return show(c, *output, spend, func(w io.Writer) error { return printSpend(w, spend) })
		}
		q := url.Values{"limit": {strconv.Itoa(*limit)}}
		for k, v := range map[string]string{"job": *job, "lease": *lease, "project": projectOf(c)} {
			if v != "" {
				q.Set(k, v)
			}
		}
		out, err := client.Charges(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error { return printCharges(w, out) })
	}
	return c
}

func printSpend(w io.Writer, s api.Spend) error {
	r := rehearsed(s.Rehearsal)
	_, _ = fmt.Fprintf(w, "Now           %s%s\n", s.RatePerHour, r)
	_, _ = fmt.Fprintf(w, "Month to date %s%s, %s on demand at list price\n", s.MonthToDate, r, s.MonthToDateOD)
	_, _ = fmt.Fprintf(w, "Month end     %s%s: %s\n", s.MonthEnd, r, s.Assumption)
	if len(s.ByJob) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(w)
	rows := [][]string{}
	for _, row := range s.ByJob {
		name := row.Project + "/" + row.Job
		if row.Job == "" {
			name = "idle room"
		}
		rows = append(rows, []string{name, row.Billed.String() + r, row.List.String()})
	}
	return grid(w, []string{"JOB", "BILLED", "AT LIST PRICE"}, rows, 1, 2)
}

func printCharges(w io.Writer, out api.Charges) error {
	rows := [][]string{}
	for _, ch := range out.Charges {
		who := string(ch.Job)
		if who == "" {
			who = "idle room"
		}
		rows = append(rows, []string{
			ch.Start.Format(time.RFC3339), ch.End.Format(time.RFC3339), string(ch.Lease), who,
			ch.UnitPrice.String(), "$" + ch.BilledCost.Decimal() + rehearsed(ch.Rehearsal), ch.PriceSource,
		})
	}
	if err := grid(w, []string{"FROM", "TO", "LEASE", "JOB", "PRICE", "BILLED", "PRICE SOURCE"}, rows, 4, 5); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "Total $%s\n", out.Total.Decimal())
	return err
}

func newRebalance() *cobra.Command {
	c := &cobra.Command{Use: "rebalance", Short: "Move what runs to where it is cheaper, when the gain pays for the moves", Args: cobra.NoArgs}
	remoteFlags(c)
	output := outputFlag(c)
	dry := c.Flags().Bool("dry-run", false, "say what would move and why, and move nothing")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.Rebalance(c.Context(), api.Rebalance{DryRun: *dry})
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error { return printRebalanced(w, out) })
	}
	return c
}

func printRebalanced(w io.Writer, out api.Rebalanced) error {
	r := rehearsed(out.Rehearsal)
	_, _ = fmt.Fprintf(w, "Now %s%s, best %s; moving would save %s over %.0f h.\n%s\n", out.Now, r, out.After, out.Saving, out.HorizonHrs, out.Reason)
	if len(out.Moves) == 0 {
		_, err := fmt.Fprintln(w, "Nothing moves.")
		return err
	}
	rows := [][]string{}
	for _, m := range out.Moves {
		rows = append(rows, []string{fmt.Sprintf("%s/%s[%d]", m.Job, m.Group, m.Replica), string(m.From), string(m.To)})
	}
	return grid(w, []string{"REPLICA", "FROM", "TO"}, rows)
}
