package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/app"
	"purser/bench"
)

func newBenchMarket() *cobra.Command {
	c := &cobra.Command{
		Use: "market", Short: "Load real catalogues and a real history of prices, and ask for prices now and then", Args: cobra.NoArgs,
		Long: "Load six catalogues and ten months of AWS prices into a private database, with fsync; pass rows\n" +
			"through the collector's path; fill the history up; and ask. --data names a folder in the layout\n" +
			"that docs/benchmarks.md describes. With -o json it prints one line a figure.",
	}
	output := outputFlag(c)
	data := c.Flags().String("data", os.Getenv("PURSER_DATA"), "folder with catalogues and history (default: $PURSER_DATA)")
	rows := c.Flags().Int("rows", 1_000_000, "rows that the collector's path observes")
	points := c.Flags().Int("points", 50_000_000, "points that the history is filled up to (100 bytes each on disk)")
	offers := c.Flags().Int("offers", 5000, "offers with devices that are observed")
	dir := c.Flags().String("dir", "", "folder for the database (default: a temporary one, removed at the end)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *data == "" {
			return usageError{fmt.Errorf("name the folder with the catalogues: --data DIR, or PURSER_DATA")}
		}
		folder := *dir
		if folder == "" {
			made, err := os.MkdirTemp("", "purser-bench-")
			if err != nil {
				return purser.Wrap(purser.KindUnavailable, "purser bench", err)
			}
			defer func() { _ = os.RemoveAll(made) }()
			if err := os.Chmod(made, 0o755); err != nil { //nolint:gosec // the database's own account must reach its folder
				return purser.Wrap(purser.KindUnavailable, "purser bench", err)
			}
			folder = filepath.Join(made, "data")
			if err := os.Mkdir(folder, 0o755); err != nil { //nolint:gosec // as above
				return purser.Wrap(purser.KindUnavailable, "purser bench", err)
			}
		}
		db, stop, err := app.PrivateStore(c.Context(), folder, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		m := bench.Market{DB: db, Dir: *data, Offers: *offers, Rows: *rows, Goal: *points, Now: time.Now, Say: func(s string) { _, _ = fmt.Fprintln(c.ErrOrStderr(), s) }}
		figures, err := m.Run(c.Context())
		if err := errors.Join(err, stop(c.Context())); err != nil {
			return err
		}
		if *output == "json" {
			for _, f := range figures {
				if err := writeJSONLine(c.OutOrStdout(), f); err != nil {
					return err
				}
			}
			return nil
		}
		return show(c, *output, nil, func(w io.Writer) error {
			table := [][]string{}
			for _, f := range figures {
				seconds := ""
				if f.Seconds > 0 {
					seconds = fmt.Sprintf("%.1f", f.Seconds)
				}
				table = append(table, []string{f.Case, fmt.Sprintf("%.4g", f.Value), f.Unit, seconds})
			}
			return grid(w, []string{"CASE", "VALUE", "UNIT", "SECONDS"}, table, 1, 3)
		})
	}
	return c
}
