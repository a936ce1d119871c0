package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newWhatIf() *cobra.Command {
	c := &cobra.Command{
		Use: "whatif", Short: "Plan for other prices, a lost place, more machines or quota, further jobs", Args: cobra.NoArgs,
		Long: "Plan for the world as it is and for a changed one, and show the difference. Nothing is changed.\n" +
			"What runs stays where it is unless --moves lets it move. Changes may be combined.",
		Example: "  purser whatif --lose aws/us-east-1\n  purser whatif --price option=spot,factor=1.5\n  purser whatif --more rack1=1 -f jobs.yaml",
	}
	remoteFlags(c)
	projectFlag(c)
	output := outputFlag(c)
	lose := c.Flags().StringArray("lose", nil, "place that is gone: provider, provider/region or provider/region/zone")
	prices := c.Flags().StringArray("price", nil, "prices times factor: provider=P,region=R,type=T,option=O,factor=1.5; all but factor may be left out")
	more := c.Flags().StringArray("more", nil, "NAME=COUNT more of a quota, or machines of an offer (its id or instance type); below 0 it is less")
	file := c.Flags().StringP("file", "f", "", "job file with jobs that are submitted besides; - reads standard input")
	moves := c.Flags().Bool("moves", false, "what runs may move where that pays")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q := api.WhatIf{Lose: *lose, Moves: *moves}
		var err error
		if q.Prices, err = priceFactors(*prices); err != nil {
			return usageError{err}
		}
		if q.More, err = mores(*more); err != nil {
			return usageError{err}
		}
		if *file != "" {
			in, err := readJobFile(c, *file, projectOf(c))
			if err != nil {
				return err
			}
			q.Jobs = &in
		}
		return showAnswer(c, *output, func(client *api.Client) (api.WhatIfAnswer, error) { return client.Ask(c.Context(), q) }, printAnswer)
	}
	return c
}

func priceFactors(given []string) (out []api.PriceFactor, err error) {
	for _, text := range given {
		f := api.PriceFactor{}
		for part := range strings.SplitSeq(text, ",") {
			key, value, _ := strings.Cut(part, "=")
			switch key {
			case "provider":
				f.Provider = value
			case "region":
				f.Region = value
			case "type":
				f.InstanceType = value
			case "option":
				f.Option = purser.PurchaseOption(value)
			case "factor":
				if f.Factor, err = strconv.ParseFloat(value, 64); err != nil {
					return nil, fmt.Errorf("--price %s: %q is not a number", text, value)
				}
			default:
				return nil, fmt.Errorf("--price %s: %q is none of provider, region, type, option, factor", text, key)
			}
		}
		if !(f.Factor > 0) || math.IsInf(f.Factor, 0) {
			return nil, fmt.Errorf("--price %s has no factor above 0", text)
		}
		out = append(out, f)
	}
	return out, nil
}

// mores reads NAME=COUNT; a name may hold an equals sign itself.
func mores(given []string) (out []api.More, err error) {
	for _, text := range given {
		at := strings.LastIndex(text, "=")
		if at <= 0 {
			return nil, fmt.Errorf("--more %s is not NAME=COUNT", text)
		}
		n, err := strconv.ParseInt(text[at+1:], 10, 64)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("--more %s: %q is not a count", text, text[at+1:])
		}
		out = append(out, api.More{Name: text[:at], Count: n})
	}
	return out, nil
}

// capital begins a sentence with a capital letter.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func printAnswer(w io.Writer, a api.WhatIfAnswer) error {
	if _, err := fmt.Fprintf(w, "%s\n\n", capital(a.Sentence)); err != nil {
		return err
	}
	row := func(name string, p api.Plan) []string {
		missed := 0
		for _, u := range p.Unplaced {
			missed += u.Replicas
		}
		return []string{name, p.Objective.String(), p.UnitPrice.String(), strconv.Itoa(len(p.Leases)), strconv.Itoa(missed), fmt.Sprintf("%.3f %%", 100*p.Gap)}
	}
	header := []string{"", fmt.Sprintf("COST OF %.0f H", a.Now.HorizonHours), "PRICE", "MACHINES", "WITHOUT A PLACE", "GAP"}
	if err := grid(w, header, [][]string{row("now", a.Now), row("then", a.Then)}, 1, 2, 3, 4, 5); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, "\nThen:"); err != nil {
		return err
	}
	return printPlan(w, a.Then)
}

func newWorth() *cobra.Command {
	c := &cobra.Command{
		Use: "worth", Short: "Say what a little more of each limit that is used up would save", Args: cobra.NoArgs,
		Long: "Plan anew with one step more of each quota, the spend limit, and each kind of private machine that\n" +
			"the plan has used up, and say what that saves in a day or places besides. Takes some seconds.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return showAnswer(c, *output, func(client *api.Client) (api.Worth, error) { return client.Worth(c.Context()) }, printWorth)
	}
	return c
}

func printWorth(w io.Writer, out api.Worth) error {
	if len(out.Steps) == 0 {
		_, err := fmt.Fprintln(w, "No limit stands in the way of a cheaper plan.")
		return err
	}
	for _, s := range out.Steps {
		if _, err := fmt.Fprintf(w, "%s.\n", capital(s.Sentence)); err != nil {
			return err
		}
	}
	if out.Left > 0 {
		_, err := fmt.Fprintf(w, "%d further limits were not tried.\n", out.Left)
		return err
	}
	return nil
}

func newFront() *cobra.Command {
	c := &cobra.Command{
		Use: "front", Short: "Say what it costs to have all training done sooner, or to take less carbon", Args: cobra.NoArgs,
		Long: "Plan what waits and runs with ever nearer deadlines, or with ever dearer carbon, and show the plans\n" +
			"that are worth choosing: none is worse in both than another. Takes some seconds; nothing is changed.",
	}
	against := c.Flags().String("against", api.AgainstTime, "what cost is weighed against: time or carbon")
	remoteFlags(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *against != api.AgainstTime && *against != api.AgainstCarbon {
			return usageError{fmt.Errorf("--against is time or carbon, not %q", *against)}
		}
		return showAnswer(c, *output, func(client *api.Client) (api.Front, error) { return client.Front(c.Context(), *against) }, func(w io.Writer, f api.Front) error {
			return printFront(w, f, *against)
		})
	}
	return c
}

// printFront shows the points with a bar for the time, or the carbon, that each takes.
func printFront(w io.Writer, f api.Front, against string) error {
	if len(f.Points) > 0 {
		const widest = 30
		length := func(p api.FrontPoint) float64 { return p.Hours }
		name := "TIME"
		if against == api.AgainstCarbon {
			length, name = func(p api.FrontPoint) float64 { return p.CarbonKg }, "CARBON"
		}
		var rows [][]string
		for _, p := range f.Points {
			bar := strings.Repeat("#", max(1, int(widest*length(p)/max(length(f.Points[0]), 1e-9)+0.5)))
			rows = append(rows, []string{
				fmt.Sprintf("%.1f h", p.Hours), fmt.Sprintf("%.3g kg", p.CarbonKg), p.Objective.String(), "+" + p.Extra.String(), p.Rate.String(), strconv.Itoa(p.Machines), bar,
			})
		}
		if err := grid(w, []string{"ALL DONE AFTER", "EMITTED", "COST", "MORE", "PRICE", "MACHINES", name}, rows, 0, 1, 2, 3, 4, 5); err != nil {
			return err
		}
	}
	if f.Reason == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s.\n", capital(f.Reason))
	return err
}
