package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"purser"
)

// outputFlag adds -o to a verb.
func outputFlag(c *cobra.Command) *string {
	return c.Flags().StringP("output", "o", "table", "table or json")
}

// show writes v as JSON, or calls table.
func show(c *cobra.Command, format string, v any, table func(w io.Writer) error) error {
	switch format {
	case "json":
		enc := json.NewEncoder(c.OutOrStdout())
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case "table":
		return table(cleanWriter{c.OutOrStdout()})
	default:
		return usageError{fmt.Errorf("-o takes table or json, not %q", format)}
	}
}

// cleanWriter takes the control characters out of what people read: names and reasons
// come from other people's jobs and servers, and are not to move the reader's cursor.
type cleanWriter struct{ w io.Writer }

func (c cleanWriter) Write(p []byte) (int, error) {
	lines := strings.Split(string(p), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	if _, err := io.WriteString(c.w, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// grid writes rows under a head, without lines: it can be read, and cut by awk.
// Columns named in right are set flush right.
func grid(w io.Writer, head []string, rows [][]string, right ...int) error {
	aligns := make([]tw.Align, len(head))
	for i := range aligns {
		aligns[i] = tw.AlignLeft
	}
	for _, i := range right {
		aligns[i] = tw.AlignRight
	}
	none := tw.Off
	t := tablewriter.NewTable(w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.Border{Left: none, Right: none, Top: none, Bottom: none},
			Settings: tw.Settings{Lines: tw.Lines{ShowHeaderLine: none}, Separators: tw.Separators{BetweenColumns: none, BetweenRows: none}},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Left: "", Right: "  ", Overwrite: true}),
		tablewriter.WithConfig(tablewriter.Config{
			Header: tw.CellConfig{Alignment: tw.CellAlignment{PerColumn: aligns}},
			Row:    tw.CellConfig{Alignment: tw.CellAlignment{PerColumn: aligns}},
		}),
	)
	t.Header(head)
	if err := t.Bulk(rows); err != nil {
		return err
	}
	return t.Render()
}

// isTerminal says whether w is a terminal; progress is shown only there.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), termiosRequest)
	return err == nil
}

// age says how long ago t was, in one unit.
func age(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	}
}

// rehearsed marks money that was never owed.
func rehearsed(is bool) string {
	if is {
		return " (rehearsal)"
	}
	return ""
}

// place names where an offer is: provider, region and zone.
func place(provider, region, zone string) string {
	return strings.Join(strings.FieldsFunc(provider+" "+region+" "+zone, func(r rune) bool { return r == ' ' }), " ")
}

// devices shows a machine's accelerators, e.g. 8×A100-80GB.
func devices(n float64, accelerator string) string {
	if accelerator == "" {
		return "CPU only"
	}
	return fmt.Sprintf("%g×%s", n, accelerator)
}

func optionName(o purser.PurchaseOption) string { return strings.ReplaceAll(string(o), "_", "-") }
