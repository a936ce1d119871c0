package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"purser/app"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Run the server: API, page, planning and the machines", Args: cobra.NoArgs,
		Long: "Run the server. With no settings it rehearses: a private database of its own, the bundled price\n" +
			"list, and an agent process on this host for every machine that the plan would buy. Commands\n" +
			"really run; nothing is bought. It listens on loopback. Ctrl-C drains and stops it; a second\n" +
			"Ctrl-C stops it without draining.",
	}
	configFlags(c)
	first := c.Flags().String("first-run", "", "submit this job file once the server is up, and show what becomes of it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := loadConfig(c)
		if err != nil {
			return err
		}
		out := c.ErrOrStderr()
		log, closeLog, err := newLogger(config, out, *first != "")
		if err != nil {
			return err
		}
		defer closeLog()
		a := app.New(config, app.Options{Version: version, Logger: log})
		progress := func(step string) { _, _ = fmt.Fprintf(out, "%s %s …\n", time.Now().Format(time.TimeOnly), step) }
		if err := a.Start(c.Context(), progress); err != nil {
			return err
		}
		greet(c.OutOrStdout(), a, config)
		failed := runUntilStopped(c, a, *first)
		_, _ = fmt.Fprintln(out)
		return errors.Join(failed, stopApp(a, out))
	}
	return c
}

// runUntilStopped waits for the end: a signal, or a part that died. The first run
// is shown meanwhile.
func runUntilStopped(c *cobra.Command, a *app.App, first string) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	shown := make(chan error, 1)
	if first == "" {
		shown = nil
	} else {
		go func() { shown <- firstRun(ctx, c, a, first) }()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-a.Failed():
			return err
		case err := <-shown:
			if err != nil && ctx.Err() == nil {
				return err
			}
			shown = nil
		}
	}
}

// stopApp drains and stops. Another interrupt cuts the draining short.
func stopApp(a *app.App, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := a.Stop(ctx, func(step string) { _, _ = fmt.Fprintf(out, "%s %s …\n", time.Now().Format(time.TimeOnly), step) })
	if err == nil {
		_, _ = fmt.Fprintf(out, "%s stopped\n", time.Now().Format(time.TimeOnly))
	}
	return err
}

func greet(w io.Writer, a *app.App, config app.Config) {
	_, _ = fmt.Fprintf(w, "Purser %s at %s", version, a.URL())
	if a.Rehearsal() {
		_, _ = fmt.Fprint(w, " (rehearsal: nothing is bought, machines are stood in for, money is what it would have cost)")
	}
	_, _ = fmt.Fprintln(w)
	if cred, fresh := a.Credentials(); fresh {
		_, _ = fmt.Fprintf(w, "First token, shown only now: %s\nIt is kept for the CLI in %s\n", cred.Token, filepath.Join(config.DataDir, app.CredentialsFile))
	}
}

// configFlags are the settings that have a flag; docs/configuration.md has all.
func configFlags(c *cobra.Command) {
	c.Flags().String("config", "", "configuration file (default: "+app.ConfigFile()+" if it is there)")
	c.Flags().String("listen", "", "address to listen on (default "+app.DefaultListen+"; port 0 takes a free one)")
	c.Flags().String("public-url", "", "address that links and agents use")
	c.Flags().String("data-dir", "", "data folder (default "+app.DefaultDataDir()+")")
	c.Flags().String("database-url", "", "a PostgreSQL of your own (default: a private one); with a password in it, better set PURSER_DATABASE_URL: others can read flags")
	c.Flags().String("postgres-bin", "", "folder with initdb and postgres for the private database")
	c.Flags().String("limits", "", "file with quotas and private hosts")
	c.Flags().Int("max-machines", 0, "machines that this host stands in for at most (default 16)")
	c.Flags().String("log-level", "", "debug, info, warn or error")
}

func loadConfig(c *cobra.Command) (app.Config, error) {
	set := map[string]any{}
	for flag, key := range map[string]string{
		"listen": "listen", "public-url": "public_url", "data-dir": "data_dir", "database-url": "database_url",
		"postgres-bin": "postgres_bin", "limits": "limits_file", "max-machines": "max_machines", "log-level": "log_level",
	} {
		if f := c.Flags().Lookup(flag); f != nil && f.Changed {
			set[key] = f.Value.String()
		}
	}
	for _, key := range []string{"data_dir", "limits_file", "postgres_bin"} {
		if s, ok := set[key].(string); ok && s != "" {
			abs, err := filepath.Abs(s)
			if err != nil {
				return app.Config{}, usageError{err}
			}
			set[key] = abs
		}
	}
	path, _ := c.Flags().GetString("config")
	return app.LoadConfig(path, set)
}

// newLogger logs to the terminal, or, where the terminal is to show a first run,
// to a file in the data folder.
func newLogger(config app.Config, out io.Writer, toFile bool) (*slog.Logger, func(), error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(config.LogLevel)); err != nil {
		return nil, nil, usageError{err}
	}
	if !toFile {
		return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})), func() {}, nil
	}
	if err := os.MkdirAll(config.DataDir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("the data folder cannot be made (name another with --data-dir): %w", err)
	}
	path := filepath.Join(config.DataDir, "server.log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	_, _ = fmt.Fprintf(out, "%s logging to %s\n", time.Now().Format(time.TimeOnly), path)
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: level})), func() { _ = f.Close() }, nil
}

func userCacheDir() (string, error) { return os.UserCacheDir() }
