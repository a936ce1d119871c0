package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newPricesQuarantine() *cobra.Command {
	c := &cobra.Command{
		Use: "quarantine", Short: "List the prices that are not believed, with the reason; judge them", Args: cobra.NoArgs,
		Long: "List the prices that are not believed, with the reason and where the feed says them. They are in no\n" +
			"plan. Release one to believe it, or keep it to take it off this list.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	c.Flags().String("source", "", "only this feed")
	c.Flags().String("reason", "", "only this reason, such as outlier")
	c.Flags().String("offer", "", "only the offer with this id")
	c.Flags().Bool("kept", false, "also those that were reviewed and kept")
	limit := c.Flags().Int("limit", 100, "how many at most")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q := url.Values{"limit": {strconv.Itoa(*limit)}}
		setGiven(c, q, "source", "reason", "offer", "kept")
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.Quarantine(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error { return printQuarantine(w, out.Quarantined, time.Now()) })
	}
	c.AddCommand(newQuarantineRelease(), newQuarantineKeep())
	return c
}

func printQuarantine(w io.Writer, list []api.QuarantinedPrice, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "No price is in quarantine.")
		return err
	}
	head := []string{"OFFER", "PRICE", "REASON", "SEEN", "SOURCE"}
	kept := slices.ContainsFunc(list, func(r api.QuarantinedPrice) bool { return r.KeptAt != nil })
	if kept {
		head = append(head, "KEPT")
	}
	var rows, notes [][]string
	for _, r := range list {
		row := []string{string(r.Offer.ID), r.Offer.UnitPrice.String(), string(r.Reason), age(r.LastSeenAt, now), r.Source}
		if kept && r.KeptAt != nil {
			row = append(row, age(*r.KeptAt, now))
		} else if kept {
			row = append(row, "")
		}
		note := r.Detail
		if r.Place != "" {
			note = strings.TrimSpace(note + " (" + r.Place + ")")
		}
		rows, notes = append(rows, row), append(notes, []string{note})
	}
	return gridWithNotes(w, head, rows, notes, 1, 3, 5)
}

// reviewFlags adds what a decision on a price takes. quarantined says that it is about
// one in quarantine, lasting that it holds for some days.
func reviewFlags(c *cobra.Command, quarantined, lasting bool) func(offer string) api.Review {
	var source, reason string
	var days float64
	if quarantined {
		c.Flags().StringVar(&source, "source", "", "the feed that it is of; needed when it is in quarantine for several")
		c.Flags().StringVar(&reason, "reason", "", "the reason that it is there for; needed when there are several")
	}
	if lasting {
		c.Flags().Float64Var(&days, "days", 0, "for how many days this holds (default: 30)")
	}
	note := c.Flags().String("note", "", "why, for who reads it later")
	return func(offer string) api.Review {
		return api.Review{Source: source, Offer: purser.OfferID(offer), Reason: purser.QuarantineReason(reason), Days: days, Note: *note}
	}
}

func newQuarantineRelease() *cobra.Command {
	c := &cobra.Command{
		Use: "release OFFER", Short: "Believe a price that is in quarantine", Args: cobra.ExactArgs(1),
		Long: "Believe a price that is in quarantine. It can be planned with at once, and as long as the feed says\nabout the same, until the rule ends.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	review := reviewFlags(c, true, true)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		rule, err := client.ReleasePrice(c.Context(), review(args[0]))
		if err != nil {
			return err
		}
		return show(c, *output, rule, func(w io.Writer) error { return printRule(w, rule) })
	}
	return c
}

// printRule says what a new rule does.
func printRule(w io.Writer, r purser.PriceRule) error {
	does := fmt.Sprintf("believed at %s to %s", r.Low, r.High)
	if r.Reason == purser.QuarantineByHand {
		does = "not believed"
	}
	_, err := fmt.Fprintf(w, "%s is %s until %s.\n", r.Offer, does, moment(r.Until))
	return err
}

func newQuarantineKeep() *cobra.Command {
	c := &cobra.Command{Use: "keep OFFER", Short: "Leave a price in quarantine and take it off the list of what is to be reviewed", Args: cobra.ExactArgs(1)}
	remoteFlags(c)
	review := reviewFlags(c, true, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		if err := client.KeepPrice(c.Context(), review(args[0])); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cleanWriter{c.OutOrStdout()}, "%s stays in quarantine, and off the list unless --kept asks for it.\n", args[0])
		return err
	}
	return c
}

func newPricesBlock() *cobra.Command {
	c := &cobra.Command{
		Use: "block OFFER", Short: "Stop believing an offer's price", Args: cobra.ExactArgs(1),
		Long: "Stop believing an offer's price. It leaves the plans at once, whatever its feed says, until the rule\nends. purser prices rules drop OFFER by_hand ends it.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	review := reviewFlags(c, false, true)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		rule, err := client.BlockPrice(c.Context(), review(args[0]))
		if err != nil {
			return err
		}
		return show(c, *output, rule, func(w io.Writer) error { return printRule(w, rule) })
	}
	return c
}

func newPricesRules() *cobra.Command {
	c := &cobra.Command{Use: "rules", Short: "List what operators decided of offers' prices; end a rule", Args: cobra.NoArgs}
	remoteFlags(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.PriceRules(c.Context())
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error { return printRules(w, out.Rules) })
	}
	c.AddCommand(newRulesDrop())
	return c
}

func printRules(w io.Writer, rules []purser.PriceRule) error {
	if len(rules) == 0 {
		_, err := fmt.Fprintln(w, "There is no rule.")
		return err
	}
	var rows, notes [][]string
	for _, r := range rules {
		does, prices := "believed", r.Low.String()+" to "+r.High.String()
		if r.Reason == purser.QuarantineByHand {
			does, prices = "not believed", "any price"
		}
		rows = append(rows, []string{string(r.Offer), string(r.Reason), does, prices, r.Until.UTC().Format(time.DateOnly), r.Actor})
		var note []string
		if r.Note != "" {
			note = []string{r.Note}
		}
		notes = append(notes, note)
	}
	return gridWithNotes(w, []string{"OFFER", "REASON", "IT IS", "AT", "UNTIL", "BY"}, rows, notes)
}

func newRulesDrop() *cobra.Command {
	c := &cobra.Command{
		Use: "drop OFFER REASON", Short: "End a rule", Args: cobra.ExactArgs(2),
		Long: "End a rule. What it made believed goes back to quarantine when its feed says it again; what it blocked\ncan be had again when its feed says it.",
	}
	remoteFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		if err := client.DropPriceRule(c.Context(), purser.OfferID(args[0]), purser.QuarantineReason(args[1])); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cleanWriter{c.OutOrStdout()}, "The rule about %s of %s has ended.\n", args[1], args[0])
		return err
	}
	return c
}
