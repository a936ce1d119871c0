package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
	"purser/jobfile"
)

func newSubmit() *cobra.Command {
	c := &cobra.Command{
		Use: "submit -f FILE", Short: "Submit the jobs of a job file; the same again changes nothing", Args: cobra.NoArgs,
		Example: "  purser submit -f examples/first-run.yaml\n  purser submit -f jobs.yaml --dry-run",
	}
	remoteFlags(c)
	projectFlag(c)
	output := outputFlag(c)
	file := c.Flags().StringP("file", "f", "", "job file, YAML or JSON; - reads standard input")
	dry := c.Flags().Bool("dry-run", false, "show the plan that it would lead to, and change nothing")
	wait := c.Flags().Bool("wait", false, "wait until the jobs have ended")
	c.RunE = func(c *cobra.Command, _ []string) error {
		in, err := readJobFile(c, *file, projectOf(c))
		if err != nil {
			return err
		}
		client, err := remote(c)
		if err != nil {
			return err
		}
		if *dry {
			plan, err := client.WhatIf(c.Context(), in)
			if err != nil {
				return err
			}
			return show(c, *output, plan, func(w io.Writer) error { return printPlan(w, plan) })
		}
		out, err := client.Submit(c.Context(), in)
		if err != nil {
			return err
		}
		err = show(c, *output, out, func(w io.Writer) error { return printSubmitted(w, out) })
		if err != nil || !*wait {
			return err
		}
		var ids []string
		for _, j := range out.Jobs {
			ids = append(ids, string(j.ID))
		}
		return waitFor(c, client, ids, 0)
	}
	return c
}

func printSubmitted(w io.Writer, out api.Submitted) error {
	rows := [][]string{}
	for _, j := range out.Jobs {
		what := "submitted"
		if !j.Created {
			what = "stood already, unchanged"
		}
		rows = append(rows, []string{j.Project + "/" + j.Name, string(j.ID), what})
	}
	return grid(w, []string{"JOB", "ID", ""}, rows)
}

// readJobFile reads a job file and the local files that it names, so that a server
// elsewhere gets all of it. The file is checked here first: its errors name the
// user's own path.
func readJobFile(c *cobra.Command, path, project string) (api.JobFile, error) {
	if path == "" {
		return api.JobFile{}, usageError{fmt.Errorf("give a job file with -f (- reads standard input)")}
	}
	in := api.JobFile{Name: path, Project: project, Files: map[string][]byte{}}
	text, base, err := readInput(c, path)
	if err != nil {
		return in, err
	}
	in.Text = string(text)
	read := jobfile.FilesBelow(base)
	_, err = jobfile.Parse(path, text, jobfile.Options{
		Project: project, Now: time.Now().UTC(),
		ReadFile: func(name string) ([]byte, error) {
			b, err := read(name)
			if err == nil {
				in.Files[name] = b
			}
			return b, err
		},
	})
	return in, err
}

// maxInput bounds a job file and a limits file.
const maxInput = jobfile.MaxSize

func readInput(c *cobra.Command, path string) (text []byte, base string, err error) {
	if path == "-" {
		b, err := bounded(c.InOrStdin(), "standard input")
		return b, ".", err
	}
	b, err := readBounded(path)
	return b, filepath.Dir(path), err
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		kind := purser.KindInvalid
		if os.IsNotExist(err) {
			kind = purser.KindNotFound
		}
		return nil, purser.Errorf(kind, "purser", "%s cannot be read: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	return bounded(f, path)
}

func bounded(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case err != nil:
		return nil, purser.Errorf(purser.KindInvalid, "purser", "%s cannot be read: %w", name, err)
	case len(b) > maxInput:
		return nil, purser.Errorf(purser.KindInvalid, "purser", "%s is larger than %d MiB", name, maxInput>>20)
	}
	return b, nil
}
