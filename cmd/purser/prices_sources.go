package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"purser/api"
)

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
		return show(c, *output, out, func(w io.Writer) error { return printSources(w, out.Sources, time.Now()) })
	}
	return c
}

// printSources shows the feeds that are collected or were, with what is amiss below
// each, and then those that are off.
func printSources(w io.Writer, sources []api.Source, now time.Time) error {
	var rows, notes, off [][]string
	for _, s := range sources {
		if !s.Enabled && s.LastAt.IsZero() && s.EndedAt == nil && s.BeganAt == nil {
			off = append(off, []string{s.Name, s.Says})
			continue
		}
		next := ""
		if s.NextAt != nil {
			next = "in " + age(now, *s.NextAt)
		}
		rows = append(rows, []string{
			s.Name, scheduleOf(s), next, age(s.LastAt, now), strconv.Itoa(s.Regions), strconv.Itoa(s.Offers), strconv.Itoa(s.Quarantined), stateOf(s),
		})
		notes = append(notes, sourceNotes(s, now))
	}
	if len(rows) > 0 {
		if err := gridWithNotes(w, []string{"SOURCE", "SCHEDULE", "NEXT", "AGE", "REGIONS", "OFFERS", "QUARANTINED", "STATE"}, rows, notes, 2, 3, 4, 5, 6); err != nil {
			return err
		}
	}
	if len(off) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "\nOff; purser prices collect --source NAME asks one of them all the same:"); err != nil {
		return err
	}
	return grid(w, []string{"SOURCE", "GIVES"}, off)
}

// scheduleOf is the cron expression by which a feed is collected. Those of imported
// files and of own machines have none.
func scheduleOf(s api.Source) string {
	if !s.Enabled && s.Says != "" {
		return "off"
	}
	return s.Schedule
}

// stateOf says in a word or two how a feed fares.
func stateOf(s api.Source) string {
	switch {
	case s.BeganAt != nil:
		return "collecting"
	case s.LastError != "" && s.Failures > 1:
		return fmt.Sprintf("failed %d times", s.Failures)
	case s.LastError != "":
		return "failed"
	case s.Alarm != "":
		return "alarm"
	case s.LastAt.IsZero():
		return "waiting"
	default:
		return "ok"
	}
}

// sourceNotes are what the state of a feed leaves to say.
func sourceNotes(s api.Source, now time.Time) []string {
	var notes []string
	if s.BeganAt != nil {
		n := "collecting for " + age(*s.BeganAt, now)
		if s.Progress != "" {
			n += ": " + s.Progress
		}
		notes = append(notes, n)
	}
	if s.LastError != "" {
		notes = append(notes, failureOf(s))
	}
	if s.Alarm != "" {
		notes = append(notes, "alarm: "+s.Alarm)
	}
	return notes
}

// failureOf says what the last collection of a feed failed with.
func failureOf(s api.Source) string {
	if s.ErrorKind == "" {
		return s.LastError
	}
	return s.ErrorKind + ": " + s.LastError
}
