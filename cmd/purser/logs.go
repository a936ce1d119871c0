package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
)

func newLogs() *cobra.Command {
	c := &cobra.Command{Use: "logs JOB", Short: "Print what a job's tasks wrote", Args: cobra.ExactArgs(1)}
	remoteFlags(c)
	projectFlag(c)
	output := outputFlag(c)
	follow := c.Flags().BoolP("follow", "f", false, "go on until the job has ended")
	task := c.Flags().String("task", "", "only this task")
	times := c.Flags().Bool("timestamps", false, "show when each line was written")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		if *output != "table" && *output != "json" {
			return usageError{fmt.Errorf("-o takes table or json, not %q", *output)}
		}
		cursor := ""
		for {
			page, err := client.Logs(c.Context(), args[0], projectOf(c), purser.TaskID(*task), cursor, 1000)
			if err != nil {
				if *follow && cursor != "" && purser.KindOf(err) == purser.KindUnavailable && sleep(c.Context(), pollEvery) == nil {
					continue // a server that restarts is waited for
				}
				return err
			}
			if err := printLines(c, *output, page.Lines, *times); err != nil {
				return err
			}
			cursor = page.Next
			switch {
			case len(page.Lines) > 0 && !*follow, len(page.Lines) >= 1000:
				continue
			case !*follow || page.Ended:
				return nil
			}
			if err := sleep(c.Context(), pollEvery/2); err != nil {
				return err
			}
		}
	}
	return c
}

func printLines(c *cobra.Command, output string, lines []api.LogLine, times bool) error {
	for _, l := range lines {
		if output == "json" {
			if err := writeJSONLine(c.OutOrStdout(), l); err != nil {
				return err
			}
			continue
		}
		stamp := ""
		if times {
			stamp = l.At.Format(time.RFC3339) + " "
		}
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%s%s | %s\n", stamp, l.Task, printable(l.Text)); err != nil {
			return err
		}
	}
	return nil
}

// printable takes the control characters out of a task's line: a log is not to
// move the reader's cursor or set a window's title.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || !unicode.IsControl(r) {
			return r
		}
		return -1
	}, s)
}

func writeJSONLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
