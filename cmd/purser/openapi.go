package main

import (
	"github.com/spf13/cobra"

	"purser/app"
	"purser/jobfile"
)

func newOpenAPI() *cobra.Command {
	c := &cobra.Command{Use: "openapi", Short: "Print the API's description (OpenAPI 3.1)", Args: cobra.NoArgs}
	schema := c.Flags().Bool("job-schema", false, "print the JSON Schema of job files in its place")
	c.RunE = func(c *cobra.Command, _ []string) error {
		b := jobfile.Schema()
		if !*schema {
			var err error
			if b, err = app.DescribeAPI(); err != nil {
				return err
			}
		}
		_, err := c.OutOrStdout().Write(b)
		return err
	}
	return c
}
