package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"purser/api"
)

func newProviders() *cobra.Command {
	c := &cobra.Command{
		Use: "providers", Short: "List where machines come from, how that fares, and the account's limits", Args: cobra.NoArgs,
		Long: "List the clouds and pools that are enabled in the configuration, what the server saw of them\n" +
			"last, the limits of their accounts and what was bought ahead.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	quotas := c.Flags().Bool("quotas", false, "the limits of the accounts too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return showAnswer(c, *output, func(client *api.Client) (api.Providers, error) { return client.Providers(c.Context()) },
			func(w io.Writer, out api.Providers) error { return printProviders(w, out, *quotas, time.Now()) })
	}
	return c
}

func printProviders(w io.Writer, p api.Providers, quotas bool, now time.Time) error {
	var rows, notes [][]string
	for _, v := range p.Providers {
		listed := "never"
		if v.ListedAt != nil {
			listed = age(*v.ListedAt, now)
		}
		regions := "all"
		if len(v.Regions) > 0 {
			regions = shorten(v.Regions, 3)
		}
		rows = append(rows, []string{
			v.Name, regions, strconv.Itoa(v.Machines), v.InUseUSD.String(), listed, strconv.Itoa(len(v.Quotas)), strings.Join(v.Can, " "), providerState(v),
		})
		notes = append(notes, providerNotes(v))
	}
	if err := gridWithNotes(w, []string{"PROVIDER", "REGIONS", "MACHINES", "PRICE", "LISTED", "LIMITS", "CAN", "STATE"}, rows, notes, 2, 3, 4, 5); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%s\nMachines carry the tag of installation %s.\n", spendSentence(p), p.Installation); err != nil {
		return err
	}
	if err := printReserved(w, p, now); err != nil || !quotas {
		return err
	}
	return printQuotas(w, p)
}

func providerState(v api.Provider) string {
	switch {
	case v.Failure != nil:
		return "failed"
	case v.ListedAt == nil:
		return "waiting"
	case v.Limits != nil || v.Notices != nil:
		return "in part"
	case v.DryRun:
		return "dry run"
	default:
		return "ok"
	}
}

func providerNotes(v api.Provider) []string {
	var notes []string
	for _, n := range []struct {
		what string
		f    *api.ProviderFailure
	}{{"machines", v.Failure}, {"limits", v.Limits}, {"notices", v.Notices}} {
		if n.f == nil {
			continue
		}
		notes = append(notes, fmt.Sprintf("%s: %s: %s", n.what, n.f.Kind, n.f.Message))
		if n.f.Hint != "" {
			notes = append(notes, "hint: "+n.f.Hint)
		}
	}
	return notes
}

func spendSentence(p api.Providers) string {
	switch {
	case p.Rehearsal:
		return "No cloud is enabled: machines are stood in for, and nothing is bought."
	case p.SpendLimit.PerHour == 0:
		return "No spend limit is set: no paid cloud is enabled."
	case p.SpendLimit.PerMonth == 0:
		return fmt.Sprintf("Spend limit: $%.2f/h of bought machines at once.", p.SpendLimit.PerHour)
	default:
		return fmt.Sprintf("Spend limit: $%.2f/h of bought machines at once, and nothing more once a month has cost $%.2f.", p.SpendLimit.PerHour, p.SpendLimit.PerMonth)
	}
}

func printReserved(w io.Writer, p api.Providers, now time.Time) error {
	var rows [][]string
	for _, v := range p.Providers {
		for _, r := range v.Reserved {
			until := "open"
			if r.Until != nil {
				until = "in " + age(now, *r.Until)
			}
			rows = append(rows, []string{v.Name, r.ID, string(r.Offer), strconv.Itoa(r.Total), strconv.Itoa(r.Free), until})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "\nBought ahead:"); err != nil {
		return err
	}
	return grid(w, []string{"PROVIDER", "RESERVATION", "OFFER", "MACHINES", "FREE", "ENDS"}, rows, 3, 4)
}

func printQuotas(w io.Writer, p api.Providers) error {
	var rows [][]string
	for _, v := range p.Providers {
		for _, q := range v.Quotas {
			used := "?"
			if q.Used != nil {
				used = strconv.FormatInt(*q.Used, 10)
			}
			rows = append(rows, []string{q.Name, used, strconv.FormatInt(q.Limit, 10), q.Unit})
		}
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, "\nNo limits are known.")
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return grid(w, []string{"LIMIT", "IN USE", "MOST", "UNIT"}, rows, 1, 2)
}
