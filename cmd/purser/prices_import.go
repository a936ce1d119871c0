package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newPricesImport() *cobra.Command {
	c := &cobra.Command{
		Use: "import FILE…", Short: "Import price lists in the catalogue form or histories of prices, plain or gzip", Args: cobra.MinimumNArgs(1),
		Long: "Import price lists in the catalogue form (InstanceType, vCPUs, MemoryGiB, AcceleratorName,\n" +
			"AcceleratorCount, Region, AvailabilityZone, Price, SpotPrice), or histories of prices (observed_at,\n" +
			"instance_type, availability_zone_id, spot_usd_per_hour, on_demand_usd_per_hour), which say\n" +
			"themselves when their prices were seen. The provider of a list is read from the file's name, as\n" +
			"in aws.csv.gz. Each file is taken whole or not at all; an older price never overwrites a newer\n" +
			"one; what cannot be believed goes to quarantine with its reason.",
	}
	remoteFlags(c)
	output := outputFlag(c)
	provider := c.Flags().String("provider", "", "provider of all files (default: from each file's name)")
	asOf := c.Flags().String("as-of", "", "when the prices of lists were seen: 2024-02-21 or an ISO time (required for lists)")
	c.RunE = func(c *cobra.Command, args []string) error {
		at, err := listTime(*asOf, args)
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
		return show(c, *output, map[string]any{"reports": reports}, func(w io.Writer) error { return printImported(w, reports) })
	}
	return c
}

// listTime is when price lists were seen; zero when all files are histories.
func listTime(asOf string, files []string) (time.Time, error) {
	if asOf == "" && !slices.ContainsFunc(files, func(path string) bool { return !isHistory(path) }) {
		return time.Time{}, nil
	}
	return readAsOf(asOf)
}

func readAsOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, usageError{fmt.Errorf("say with --as-of when the prices were seen, e.g. --as-of 2024-02-21: a file's own date is not trusted")}
	}
	return readTime("as-of", s)
}

// isHistory says whether a file is a history of prices, which tells its times itself.
// The server reads the header as this does.
func isHistory(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // the import says what is wrong with it
	}
	defer func() { _ = f.Close() }()
	const longest = 4096 // of a header
	in := bufio.NewReader(f)
	var text io.Reader = in
	if magic, err := in.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if text, err = gzip.NewReader(in); err != nil {
			return false
		}
	}
	head, _ := io.ReadAll(io.LimitReader(text, longest)) // of a torn file what there is
	line, _, _ := strings.Cut(string(head), "\n")
	return strings.Contains(line, "observed_at")
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

func printImported(w io.Writer, reports []api.PriceReport) error {
	head, right := []string{"SOURCE", "OFFERS", "NEW", "CHANGED", "UNCHANGED", "OLDER", "QUARANTINED"}, []int{1, 2, 3, 4, 5, 6}
	past := slices.ContainsFunc(reports, func(r api.PriceReport) bool { return r.Past > 0 })
	if past {
		head, right = append(head, "PAST"), append(right, 7)
	}
	rows := [][]string{}
	for _, r := range reports {
		row := []string{r.Source}
		for _, n := range []int{r.Seen, r.New, r.Changed, r.Unchanged, r.Older, r.Quarantined} {
			row = append(row, strconv.Itoa(n))
		}
		if past {
			row = append(row, strconv.Itoa(r.Past))
		}
		rows = append(rows, row)
	}
	if err := grid(w, head, rows, right...); err != nil {
		return err
	}
	return printImportNotes(w, reports)
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
