package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs}
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
		return show(c, *output, v, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "purser %s (%s, %s)\n", v["version"], v["go"], v["platform"])
			return err
		})
	}
	return c
}
