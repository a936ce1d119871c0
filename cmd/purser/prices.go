package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newPrices() *cobra.Command {
	c := &cobra.Command{
		Use: "prices", Short: "List offers with their prices, cheapest first; keep the feeds and judge what they say", Args: cobra.NoArgs,
		Long: "List offers with their prices, now or as of a time, the cheapest first for one of what --per\n" +
			"says. An offer's id, provider/region/zone/type/option, is what the other verbs here take.",
		Example: "  purser prices --accelerator H100 --option spot\n  purser prices --min-memory 80 --per gib --as-of 2026-11-20",
	}
	remoteFlags(c)
	output := outputFlag(c)
	filters := offerFlags(c)
	c.Flags().String("as-of", "", "the prices that were in force then: 2026-11-20 or an ISO time (default: now)")
	limit := c.Flags().Int("limit", 40, "how many at most")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q, per, err := filters()
		if err != nil {
			return err
		}
		if err := setTimes(c, q, "as-of"); err != nil {
			return err
		}
		q.Set("limit", strconv.Itoa(*limit))
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.Prices(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error { return printOffers(w, out, per, *limit, time.Now()) })
	}
	c.AddCommand(
		newPricesHistory(), newPricesCheapest(), newPricesHazards(), newPricesSources(), newPricesCollect(),
		newPricesQuarantine(), newPricesBlock(), newPricesRules(), newPricesImport(),
	)
	return c
}

// perTitles are what a price can be for, and the head of its column.
var perTitles = map[string]string{"machine": "", "device": "PER DEVICE", "gib": "PER GIB", "tflop": "PER TFLOP"}

// offerFlags adds the flags that select offers. The function that it gives makes the
// query of them, and says what prices are for.
func offerFlags(c *cobra.Command) func() (q url.Values, per string, err error) {
	f := c.Flags()
	f.String("accelerator", "", "only this model, or family such as A100")
	f.String("provider", "", "only this provider")
	f.String("region", "", "only this region")
	f.String("option", "", "only this purchase option, e.g. spot")
	f.String("source", "", "only this feed")
	f.String("id", "", "only the offer with this id")
	f.Float64("min-memory", 0, "least memory of one device in `GiB`")
	f.Float64("min-devices", 0, "least devices of the machine; 0.125 is an eighth of one")
	f.Bool("accelerated", false, "only machines with devices")
	f.Float64("max-price", 0, "most USD per hour for one of what --per says")
	per := f.String("per", "device", "compare prices for a machine, a device, a gib of device memory, or a tflop per second of dense bf16")
	return func() (url.Values, string, error) {
		if _, ok := perTitles[*per]; !ok {
			return nil, "", usageError{fmt.Errorf("--per takes machine, device, gib or tflop, not %q", *per)}
		}
		q := url.Values{"per": {*per}}
		setGiven(c, q, "accelerator", "provider", "region", "option", "source", "id", "min-memory", "min-devices", "accelerated", "max-price")
		if o := q.Get("option"); o != "" {
			q.Set("option", strings.ReplaceAll(o, "-", "_")) // tables of other verbs say on-demand
		}
		return q, *per, nil
	}
}

// setGiven puts the flags that were given into a query. A parameter is named like its
// flag but for those of paramOf.
func setGiven(c *cobra.Command, q url.Values, flags ...string) {
	paramOf := map[string]string{"min-memory": "min_memory_gib", "type": "instance_type"}
	for _, name := range flags {
		f := c.Flags().Lookup(name)
		if !f.Changed || f.Value.String() == "" {
			continue
		}
		param, ok := paramOf[name]
		if !ok {
			param = strings.ReplaceAll(name, "-", "_")
		}
		q.Set(param, f.Value.String())
	}
}

// setTimes puts the flags that are times into a query.
func setTimes(c *cobra.Command, q url.Values, flags ...string) error {
	for _, name := range flags {
		s, _ := c.Flags().GetString(name)
		if s == "" {
			continue
		}
		t, err := readTime(name, s)
		if err != nil {
			return err
		}
		q.Set(strings.ReplaceAll(name, "-", "_"), t.Format(time.RFC3339))
	}
	return nil
}

// readTime reads a date, which begins in UTC, or a time.
func readTime(flag, s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("--%s %q is neither a date like 2024-02-21 nor an ISO time", flag, s)}
}

func printOffers(w io.Writer, out api.Offers, per string, limit int, now time.Time) error {
	if out.AsOf != nil {
		_, _ = fmt.Fprintf(w, "In force at %s:\n", moment(*out.AsOf))
	}
	if len(out.Offers) == 0 {
		_, err := fmt.Fprintln(w, "No offer matches.")
		return err
	}
	columns := offerColumns(out.Offers, per, now)
	head, rows, right := []string{}, make([][]string, len(out.Offers)), []int{}
	for i, col := range columns {
		head = append(head, col.head)
		if col.right {
			right = append(right, i)
		}
		for j, o := range out.Offers {
			rows[j] = append(rows[j], col.cell(o))
		}
	}
	if err := grid(w, head, rows, right...); err != nil {
		return err
	}
	return printOfferNotes(w, out.Offers, limit)
}

// offerColumn is a column of a table of offers.
type offerColumn struct {
	head  string
	right bool
	cell  func(api.Offer) string
}

// offerColumns are the columns that say something of these offers: some are for
// serverless ones alone.
func offerColumns(offers []api.Offer, per string, now time.Time) []offerColumn {
	columns := []offerColumn{
		{"OFFER", false, func(o api.Offer) string { return string(o.ID) }},
		{"DEVICES", false, devicesOrSize},
		{"PRICE", true, func(o api.Offer) string { return o.UnitPrice.String() }},
	}
	if per != "machine" {
		columns = append(columns, offerColumn{perTitles[per], true, func(o api.Offer) string { return pricePer(o, per) }})
	}
	if slices.ContainsFunc(offers, func(o api.Offer) bool { return o.Option == purser.Serverless }) {
		columns = append(columns,
			offerColumn{"PER SECOND", true, perSecond},
			offerColumn{"COLD START", true, func(o api.Offer) string {
				if o.Terms == nil || o.Terms.ColdStart == 0 {
					return ""
				}
				return seconds(o.Terms.ColdStart)
			}})
	}
	return append(columns,
		offerColumn{"AGE", true, func(o api.Offer) string {
			if o.Stale {
				return age(o.ObservedAt, now) + ", old"
			}
			return age(o.ObservedAt, now)
		}},
		offerColumn{"SOURCE", false, sourceOf})
}

// devicesOrSize shows the accelerators of a machine, or the size of one without.
func devicesOrSize(o api.Offer) string {
	if o.Devices > 0 {
		return devices(o.Devices, o.Accelerator)
	}
	return fmt.Sprintf("%g vCPU, %s", o.VCPUs, purser.GiB(int64(o.MemoryGiB*1024)))
}

// pricePer shows the price for one of what per says; empty when the machine has none of
// it, or nobody says how much.
func pricePer(o api.Offer, per string) string {
	price := map[string]purser.USDPerHour{"device": o.PerDevice, "gib": o.PerGiB, "tflop": o.PerTFLOP}[per]
	if o.Devices == 0 || price == 0 && o.UnitPrice != 0 {
		return ""
	}
	return dollars(price.USD()) + "/h"
}

func perSecond(o api.Offer) string {
	if o.Option != purser.Serverless {
		return ""
	}
	return dollars(o.UnitPrice.USD()/3600) + "/s"
}

// dollars shows an amount with two decimals, and a small one with three digits that say
// something.
func dollars(usd float64) string {
	decimals := 2
	if a := math.Abs(usd); a > 0 && a < 0.1 {
		decimals = min(9, 2-int(math.Floor(math.Log10(a))))
	}
	return "$" + strconv.FormatFloat(usd, 'f', decimals, 64)
}

// sourceOf names an offer's feed. What follows the name of that of own machines is how
// the price came about.
func sourceOf(o api.Offer) string {
	if o.Option != purser.Private {
		return o.Source
	}
	feed, _, _ := strings.Cut(o.Source, ":")
	return feed
}

// ownPrice says how the price of a machine of one's own came about; empty for other
// offers.
func ownPrice(o api.Offer) string {
	if o.Option != purser.Private {
		return ""
	}
	_, how, ok := strings.Cut(o.Source, ":")
	if !ok {
		return "one's own, at the price that was given"
	}
	return "one's own, its price worked out from " + strings.NewReplacer("+", " and ", "power-estimate", "an estimate of its power").Replace(how)
}

// printOfferNotes says what the table has no room for.
func printOfferNotes(w io.Writer, offers []api.Offer, limit int) error {
	said := map[string][]string{} // alike ones together
	var notes, order []string
	for _, o := range offers {
		says := cmp.Or(ownPrice(o), termsText(o.Terms))
		if says == "" {
			continue
		}
		if said[says] == nil {
			order = append(order, says)
		}
		said[says] = append(said[says], string(o.ID))
	}
	for _, says := range order {
		notes = append(notes, shorten(said[says], 2)+": "+says+".")
	}
	if slices.ContainsFunc(offers, func(o api.Offer) bool { return o.Stale }) {
		notes = append(notes, "old: the price is too old to plan with.")
	}
	if len(offers) == limit {
		notes = append(notes, fmt.Sprintf("There may be more than these %d; --limit says how many are shown.", limit))
	}
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, wrapped(n, "", "    ")); err != nil {
			return err
		}
	}
	return nil
}

// termsText says the conditions of a serverless offer that are known, but for the cold
// start, which has a column.
func termsText(t *api.Terms) string {
	if t == nil {
		return ""
	}
	var parts []string
	if t.BillingStep > 0 {
		parts = append(parts, "billed in steps of "+seconds(t.BillingStep))
	}
	if t.IdleBilled > 0 {
		parts = append(parts, seconds(t.IdleBilled)+" after a request billed too")
	}
	if t.MaxRequest > 0 {
		parts = append(parts, "a request runs "+seconds(t.MaxRequest)+" at most")
	}
	if t.MaxConcurrent > 0 {
		parts = append(parts, fmt.Sprintf("%d at once", t.MaxConcurrent))
	}
	if t.PerRequest > 0 {
		parts = append(parts, dollars(1e6*t.PerRequest.USD())+" a million requests")
	}
	return strings.Join(parts, ", ")
}

// seconds shows a length of time in one unit.
func seconds(s float64) string {
	switch {
	case s < 1:
		return fmt.Sprintf("%.3g ms", 1000*s)
	case s < 60:
		return fmt.Sprintf("%.3g s", s)
	case s < 3600:
		return fmt.Sprintf("%.3g min", s/60)
	default:
		return fmt.Sprintf("%.3g h", s/3600)
	}
}

// moment shows a time to the minute, in UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
