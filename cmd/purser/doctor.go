package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"purser/api"
	"purser/app"
)

func newDoctor() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Say where things are and what is amiss", Args: cobra.NoArgs,
		Long: "Say where the configuration, the data and the parts are, and what is amiss. The exit code is 1\n" +
			"when something that a start needs is missing. --probe only asks whether the server answers.",
	}
	configFlags(c)
	output := outputFlag(c)
	probe := c.Flags().Bool("probe", false, "only ask whether the server answers, for health checks")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(c)
		if err != nil {
			return err
		}
		if *probe {
			return probeServer(c.Context(), c.OutOrStdout(), config)
		}
		file, _ := c.Flags().GetString("config")
		report := app.Diagnose(c.Context(), file, config)
		err = show(c, *output, map[string]any{"checks": report}, func(w io.Writer) error {
			rows := [][]string{}
			for _, r := range report {
				state := "ok"
				if !r.OK {
					state = "amiss"
				}
				rows = append(rows, []string{r.Name, state, r.Says, r.Hint})
			}
			return grid(w, []string{"CHECK", "", "SAYS", "WHAT TO DO"}, rows)
		})
		if err != nil {
			return err
		}
		for _, r := range report {
			if !r.OK && r.Needed {
				return exitError(exitFailed)
			}
		}
		return nil
	}
	return c
}

func probeServer(ctx context.Context, w io.Writer, config app.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	h, err := api.NewClient("http://"+app.Dialable(config.Listen), "").Health(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, h.Status)
	return err
}

func newMigrate() *cobra.Command {
	c := &cobra.Command{Use: "migrate", Short: "Bring the database's schema up; serve does it by itself", Args: cobra.NoArgs}
	configFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(c)
		if err != nil {
			return err
		}
		log, done, err := newLogger(config, c.ErrOrStderr(), false)
		if err != nil {
			return err
		}
		defer done()
		n, err := app.Migrate(c.Context(), config, log)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%d migrations applied\n", n)
		return err
	}
	return c
}
