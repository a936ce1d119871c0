package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"purser/jobfile"
	"purser/server"
)

func newOpenAPI() *cobra.Command {
	c := &cobra.Command{Use: "openapi", Short: "Print the API's description (OpenAPI 3.1)", Args: cobra.NoArgs}
	schema := c.Flags().Bool("job-schema", false, "print the JSON Schema of job files in its place")
	c.RunE = func(c *cobra.Command, _ []string) error {
		b := jobfile.Schema()
		if !*schema {
			var err error
			if b, err = describe(); err != nil {
				return err
			}
		}
		_, err := c.OutOrStdout().Write(b)
		return err
	}
	return c
}

// describe builds the API without anything behind it. The version is left out, so
// that the description changes only when the API does.
func describe() ([]byte, error) {
	return server.New(server.Config{Version: "1", Logger: slog.New(slog.DiscardHandler)}, server.Parts{}).Describe()
}
