package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newPricesImport() *cobra.Command {
	c := &cobra.Command{
		Use: "import FILE…", Short: "Import price lists in the catalogue form, plain or gzip", Args: cobra.MinimumNArgs(1),
		Long: "Import price lists in the catalogue form (InstanceType, vCPUs, MemoryGiB, AcceleratorName,\n" +
			"AcceleratorCount, Region, AvailabilityZone, Price, SpotPrice). The provider is read from the\n" +
			"file's name, as in aws.csv.gz. Each file is taken whole or not at all; an older price never\n" +
			"overwrites a newer one; what cannot be believed goes to quarantine with its reason.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	provider := c.Flags().String("provider", "", "provider of all files (default: from each file's name)")
	asOf := c.Flags().String("as-of", "", "when the prices were seen: 2024-02-21 or an ISO time (required)")
	c.RunE = func(c *cobra.Command, args []string) error {
		at, err := readAsOf(*asOf)
		if err != nil {
			return err
		}
		client, err := remote(c)
		if err != nil {
			return err
		}
		reports := []api.PriceReport{}
		for _, path := range args {
			_, _ = fmt.Fprintf(c.ErrOrStderr(), "importing %s\n", path)
			r, err := importOne(c, client, path, *provider, at)
			if err != nil {
				return err
			}
			reports = append(reports, r)
		}
		return show(c, *output, map[string]any{"reports": reports}, func(w io.Writer) error {
			rows := [][]string{}
			for _, r := range reports {
				rows = append(rows, []string{r.Source, strconv.Itoa(r.Seen), strconv.Itoa(r.New), strconv.Itoa(r.Changed), strconv.Itoa(r.Unchanged), strconv.Itoa(r.Older), strconv.Itoa(r.Quarantined)})
			}
			if err := grid(w, []string{"SOURCE", "OFFERS", "NEW", "CHANGED", "UNCHANGED", "OLDER", "QUARANTINED"}, rows, 1, 2, 3, 4, 5, 6); err != nil {
				return err
			}
			return printImportNotes(w, reports)
		})
	}
	return c
}

// printImportNotes says what a user might not expect of an import.
func printImportNotes(w io.Writer, reports []api.PriceReport) error {
	stale := 0
	for _, r := range reports {
		stale += r.Stale
		if r.Alarm != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", r.Source, r.Alarm); err != nil {
				return err
			}
		}
	}
	if stale == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "%d of these prices are too old for the server to plan with (spot lives a day, the rest 30 days); purser plan --prices takes them.\n", stale)
	return err
}

func readAsOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, usageError{fmt.Errorf("say with --as-of when the prices were seen, e.g. --as-of 2024-02-21: a file's own date is not trusted")}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("--as-of %q is neither a date like 2024-02-21 nor an ISO time", s)}
}

// maxPriceFile is what the server takes.
const maxPriceFile = 64 << 20

func importOne(c *cobra.Command, client *api.Client, path, provider string, at time.Time) (api.PriceReport, error) {
	info, err := os.Stat(path)
	if err != nil {
		return api.PriceReport{}, purser.Errorf(purser.KindNotFound, "purser prices import", "%s cannot be read: %w", path, err)
	}
	if info.IsDir() || info.Size() > maxPriceFile {
		return api.PriceReport{}, purser.Errorf(purser.KindInvalid, "purser prices import", "%s: a price list is a file of at most %d MiB (gzip it)", path, maxPriceFile>>20)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return api.PriceReport{}, purser.Errorf(purser.KindInvalid, "purser prices import", "%s cannot be read: %w", path, err)
	}
	return client.ImportPrices(c.Context(), filepath.Base(path), provider, at, content)
}

func newPricesQuarantine() *cobra.Command {
	c := &cobra.Command{Use: "quarantine", Short: "List the prices that are not believed, with the reason", Args: cobra.NoArgs}
	remoteFlags(c)
	output := outputFlag(c)
	source := c.Flags().String("source", "", "only this feed")
	limit := c.Flags().Int("limit", 100, "how many at most")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		q := url.Values{"limit": {strconv.Itoa(*limit)}}
		if *source != "" {
			q.Set("source", *source)
		}
		out, err := client.Quarantine(c.Context(), q)
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error {
			rows := [][]string{}
			for _, r := range out.Quarantined {
				o := r.Offer
				rows = append(rows, []string{o.InstanceType, place(o.Provider, o.Region, o.Zone), optionName(o.Option), o.UnitPrice.String(), string(r.Reason), r.Detail, r.Place})
			}
			if len(rows) == 0 {
				_, err := fmt.Fprintln(w, "No price is in quarantine.")
				return err
			}
			return grid(w, []string{"MACHINE", "WHERE", "OPTION", "PRICE", "REASON", "DETAIL", "PLACE"}, rows, 3)
		})
	}
	return c
}

func newPricesSources() *cobra.Command {
	c := &cobra.Command{Use: "sources", Short: "List the feeds of prices and how they fare", Args: cobra.NoArgs}
	remoteFlags(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.Sources(c.Context())
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error {
			rows := [][]string{}
			for _, s := range out.Sources {
				rows = append(rows, []string{s.Name, age(s.LastAt, time.Now()), strconv.Itoa(s.Offers), strconv.Itoa(s.Quarantined), s.LastError})
			}
			return grid(w, []string{"SOURCE", "AGE", "OFFERS", "QUARANTINED", "LAST ERROR"}, rows, 1, 2, 3)
		})
	}
	return c
}
