package main

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
	"purser/app"
	"purser/jobfile"
)

func newPlan() *cobra.Command {
	c := &cobra.Command{
		Use: "plan -f JOBS", Short: "Plan a job file without any server: what to buy, where, and the proof", Args: cobra.NoArgs,
		Long: "Plan a job file without any server or database. Prices come from the bundled list, or from\n" +
			"price lists in the catalogue form. The exit code is 6 when something cannot be placed.",
		Example: "  purser plan -f examples/first-run.yaml\n  purser plan -f jobs.yaml --prices aws.csv.gz,gcp.csv.gz --as-of 2024-02-21 -o json",
	}
	output := outputFlag(c)
	file := c.Flags().StringP("file", "f", "", "job file, YAML or JSON; - reads standard input")
	prices := c.Flags().StringSlice("prices", nil, "price lists, plain or gzip; further ones may follow as arguments")
	provider := c.Flags().String("provider", "", "provider of all price lists (default: from each file's name)")
	asOf := c.Flags().String("as-of", "", "when the price lists were seen (default: now)")
	limits := c.Flags().String("limits", "", "file with quotas, commitments and private hosts")
	horizon := c.Flags().Duration("horizon", 24*time.Hour, "how far the cost is counted")
	carbon := c.Flags().Float64("carbon-price", 0, "what a tonne of CO₂e counts beside the money that is paid, in USD")
	limit := c.Flags().Duration("time", 10*time.Second, "how long to search at most")
	c.Args = cobra.ArbitraryArgs // shells expand --prices *.csv.gz into arguments
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 && len(*prices) == 0 {
			return usageError{fmt.Errorf("%q is not expected: price lists follow --prices", args[0])}
		}
		req, err := planRequest(c, *file, append(*prices, args...), *provider, *asOf, *limits)
		if err != nil {
			return err
		}
		if !(*carbon >= 0 && *carbon <= app.MaxCarbonPrice) {
			return usageError{fmt.Errorf("--carbon-price lies between 0 and %d", app.MaxCarbonPrice)}
		}
		req.Horizon, req.Time, req.Carbon.PerTonne = *horizon, *limit, *carbon
		result, err := app.PlanFiles(c.Context(), req)
		if err != nil {
			return err
		}
		return showPlan(c, *output, req, result)
	}
	return c
}

func planRequest(c *cobra.Command, file string, prices []string, provider, asOf, limits string) (app.PlanRequest, error) {
	req := app.PlanRequest{Now: time.Now().UTC(), CacheDir: solverCache()}
	if file == "" {
		return req, usageError{fmt.Errorf("give a job file with -f (- reads standard input)")}
	}
	text, base, err := readInput(c, file)
	if err != nil {
		return req, err
	}
	req.Jobs, err = jobfile.Parse(file, text, jobfile.Options{Now: req.Now, ReadFile: jobfile.FilesBelow(base)})
	if err != nil {
		return req, err
	}
	at := req.Now
	if asOf != "" {
		if at, err = readAsOf(asOf); err != nil {
			return req, err
		}
	}
	for _, path := range prices {
		req.Prices = append(req.Prices, app.PriceList{Path: path, Provider: provider, AsOf: at})
	}
	if limits != "" {
		text, _, err := readInput(c, limits)
		if err != nil {
			return req, err
		}
		if req.Limits, err = jobfile.ParseLimits(limits, text); err != nil {
			return req, err
		}
	}
	if isTerminal(c.ErrOrStderr()) {
		req.Progress = func(step string) { _, _ = fmt.Fprintf(c.ErrOrStderr(), "%s …\n", step) }
	}
	return req, nil
}

// solverCache keeps the compiled solver between runs; without a place for it, each
// run compiles it anew.
func solverCache() string {
	dir, err := userCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "purser", "solver")
}

func showPlan(c *cobra.Command, output string, req app.PlanRequest, result app.PlanResult) error {
	names := map[purser.JobID]string{}
	for _, j := range req.Jobs {
		names[j.ID] = j.Name
	}
	plan := api.PlanOf(result.Plan, func(id purser.JobID) string { return names[id] })
	if n := len(result.Quarantined); n > 0 {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "%d of %d prices are not believed and were left out (%s)\n", n, n+result.Offers, reasons(result.Quarantined))
	}
	if err := show(c, output, plan, func(w io.Writer) error { return printPlan(w, plan) }); err != nil {
		return err
	}
	if len(plan.Unplaced) > 0 {
		return exitError(exitInfeasible)
	}
	return nil
}

func reasons(rows []purser.Quarantined) string {
	count := map[string]int{}
	for _, q := range rows {
		count[string(q.Reason)]++
	}
	return countsOf(count)
}

// countsOf writes counts, the largest first.
func countsOf[K ~string](count map[K]int) string {
	keys := make([]string, 0, len(count))
	for k := range count {
		keys = append(keys, string(k))
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := count[K(keys[i])], count[K(keys[j])]
		return a > b || a == b && keys[i] < keys[j]
	})
	parts := []string{}
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d %s", count[K(k)], strings.ReplaceAll(k, "_", " ")))
	}
	return strings.Join(parts, ", ")
}

// maxRows bounds the machines that a table shows one by one.
const maxRows = 40

func printPlan(w io.Writer, p api.Plan) error {
	if p.Rehearsal {
		_, _ = fmt.Fprintln(w, "Rehearsal: nothing is bought. Figures are what it would cost.")
	}
	_, _ = fmt.Fprintln(w, p.Summary)
	if len(p.Leases)+len(p.Waiting) > 0 {
		_, _ = fmt.Fprintf(w, "%s over %.0f h; no plan can cost less than %s (gap %.3f %%, %.2f s).\n", p.Objective, p.HorizonHours, p.Bound, 100*p.Gap, p.SolveSeconds)
	}
	if p.ExtraCost > 0 {
		_, _ = fmt.Fprintf(w, "Of this, moving, reading and keeping data costs %s.\n", p.ExtraCost)
	}
	if len(p.Leases) > 0 {
		_, _ = fmt.Fprintln(w)
		if err := printPlanLeases(w, p.Leases); err != nil {
			return err
		}
		printServices(w, p.Services)
		printCarbon(w, p)
	}
	printWaiting(w, p.Waiting)
	printCommitments(w, p.Commitments)
	for _, u := range p.Unplaced {
		_, _ = fmt.Fprintf(w, "\nNot placed: %s/%s, %d replicas: %s\n", u.Job, u.Group, u.Replicas, u.Reason)
		for _, r := range p.Refusals {
			if r.Job == u.Job && r.Group == u.Group && len(r.Reasons) > 0 {
				_, _ = fmt.Fprintf(w, "  %d of %d offers could serve it; refused: %s\n", r.Allowed, r.Offers, countsOf(r.Reasons))
			}
		}
	}
	printRunnersUp(w, p.RunnersUp)
	printSetbacks(w, p.Setbacks)
	return nil
}

// printServices says how each service is served, what is left after the worst loss, and how traffic is to be spread.
func printServices(w io.Writer, list []api.PlanService) {
	for _, s := range list {
		_, _ = fmt.Fprintf(w, "\n%s/%s: %d replicas serve %.4g of %.4g", s.Job, s.Group, s.Replicas, s.Served, s.Demand)
		if len(s.Worst) > 0 {
			_, _ = fmt.Fprintf(w, "; %.4g is left without %s", s.Left, strings.Join(s.Worst, " and "))
		}
		var weights []string
		for _, v := range s.Weights {
			weights = append(weights, fmt.Sprintf("%s %d", v.Variant, v.Weight))
		}
		if len(weights) > 1 {
			_, _ = fmt.Fprintf(w, "; traffic weights %s, replicas %.3g %% busy, none over %.3g %%", strings.Join(weights, ", "), 100*s.Load, 100*(s.Load+s.Imbalance))
		}
		_, _ = fmt.Fprintln(w, ".")
	}
}

// printCarbon says how much carbon the plan takes, and what it counts.
func printCarbon(w io.Writer, p api.Plan) {
	if p.CarbonKg <= 0 {
		return
	}
	counts := ""
	if p.CarbonCost > 0 {
		counts = fmt.Sprintf(", which counts %s of the %s", p.CarbonCost, p.Objective)
	}
	_, _ = fmt.Fprintf(w, "\nAbout %.3g kg CO₂e over %.0f h%s.\n", p.CarbonKg, p.HorizonHours, counts)
}

// printListed shows a heading and lines, as many as a table has at the most; without lines nothing.
func printListed(w io.Writer, heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	_, _ = fmt.Fprintf(w, "\n%s\n", heading)
	for _, line := range lines[:min(len(lines), maxRows)] {
		_, _ = fmt.Fprintf(w, "  %s\n", line)
	}
	if n := len(lines) - maxRows; n > 0 {
		_, _ = fmt.Fprintf(w, "  and %d more (-o json has all)\n", n)
	}
}

// printWaiting says what begins later, for what and until when.
func printWaiting(w io.Writer, list []api.PlanWaiting) {
	var lines []string
	for _, x := range list {
		lines = append(lines, fmt.Sprintf("%s/%s (%d): %s", x.Job, x.Group, x.Replicas, x.Summary))
	}
	printListed(w, "Begins later:", lines)
}

// printCommitments says what of what is promised is used, and what is paid for nothing.
func printCommitments(w io.Writer, list []api.PlanCommitment) {
	for _, c := range list {
		machines := "1 machine runs"
		if c.Machines != 1 {
			machines = fmt.Sprintf("%d machines run", c.Machines)
		}
		_, _ = fmt.Fprintf(w, "\n%s under %s: %s of its %s is used, %s a day of it is idle.\n", machines, c.Name, c.Used, c.UnitPrice, c.IdlePerDay)
	}
}

// printSetbacks says what came to nothing before the plan, and why.
func printSetbacks(w io.Writer, list []api.PlanSetback) {
	var lines []string
	for _, b := range list {
		left := ""
		if !b.Until.IsZero() {
			left = "; left alone until " + b.Until.UTC().Format(time.TimeOnly) + " UTC"
		}
		lines = append(lines, fmt.Sprintf("%s %s (%s): %s%s", b.At.UTC().Format(time.TimeOnly), b.Offer, b.Lease, b.Reason, left))
	}
	printListed(w, "In the hour before this plan:", lines)
}

// printRunnersUp says what the next best offer costs more, alike ones together.
func printRunnersUp(w io.Writer, list []api.PlanRunnerUp) {
	groups := map[string][]string{}
	var order []string
	for _, r := range list {
		says := fmt.Sprintf("%s costs %s more than %s", r.RunnerUp, r.ExtraCost, r.Chosen)
		if groups[says] == nil {
			order = append(order, says)
		}
		groups[says] = append(groups[says], r.Job+"/"+r.Group)
	}
	var lines []string
	for _, says := range order {
		lines = append(lines, fmt.Sprintf("%s: %s", shorten(groups[says], 3), says))
	}
	printListed(w, "Next best, for one replica alone:", lines)
}

func printPlanLeases(w io.Writer, leases []api.PlanLease) error {
	type line struct {
		lease api.PlanLease
		on    string
		count int
	}
	var lines []line
	at := map[string]int{}
	for _, l := range leases {
		on := placementsText(l.Placements)
		key := string(l.Offer.ID) + "|" + string(l.Held) + "|" + l.Commitment + "|" + fmt.Sprint(l.Hours) + "|" + on
		if i, ok := at[key]; ok {
			lines[i].count++
			continue
		}
		at[key] = len(lines)
		lines = append(lines, line{l, on, 1})
	}
	rows := [][]string{}
	for i, l := range lines {
		if i == maxRows {
			rows = append(rows, []string{"", fmt.Sprintf("and %d more (-o json has all)", len(lines)-maxRows)})
			break
		}
		o := l.lease.Offer
		held, option := "", optionName(o.Option)
		if l.lease.Commitment != "" {
			option = l.lease.Commitment
		}
		if l.lease.Held != "" {
			held = "held"
		}
		rows = append(rows, []string{
			fmt.Sprint(l.count), o.InstanceType, place(o.Provider, o.Region, o.Zone), option, devices(o.Devices, o.Accelerator),
			o.UnitPrice.String(), lasts(l.lease.Hours), held, l.on,
		})
	}
	return grid(w, []string{"N", "MACHINE", "WHERE", "OPTION", "DEVICES", "PRICE EACH", "FOR", "", "RUNS"}, rows, 0, 5, 6)
}

// lasts shows a length of time in hours as people would say it.
func lasts(hours float64) string {
	if hours < 1 {
		return fmt.Sprintf("%.0f min", math.Ceil(60*hours))
	}
	return fmt.Sprintf("%.1f h", hours)
}

// placementsText counts the replicas of each group on a machine.
func placementsText(ps []api.PlanPlacement) string {
	count := map[string]int{}
	var order []string
	for _, p := range ps {
		k := p.Job + "/" + p.Group
		if count[k] == 0 {
			order = append(order, k)
		}
		count[k]++
	}
	sort.Strings(order)
	parts := []string{}
	for _, k := range order {
		if count[k] > 1 {
			k = fmt.Sprintf("%d×%s", count[k], k)
		}
		parts = append(parts, k)
	}
	return shorten(parts, 4)
}
