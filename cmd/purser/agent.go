package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"purser/agent"
)

// newAgent runs on a leased machine. Its settings come from the provider that
// started the machine, by environment and files, never on the command line, where
// others could read its token.
func newAgent() *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "Run the tasks of one lease; started by Purser on a machine that it leased", Args: cobra.NoArgs, Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := agent.ConfigFromEnv(os.Getenv)
			if err != nil {
				return err
			}
			config.Version = version
			config.Logger = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			return agent.Run(c.Context(), config)
		},
	}
}
