package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"purser"
)

// version is set when the program is linked.
var version = "dev"

// The exit codes; doc.go says what they mean.
const (
	exitFailed       = 1
	exitInvalid      = 2
	exitNotFound     = 3
	exitJobFailed    = 4
	exitUnauthorized = 5
	exitInfeasible   = 6
	exitInterrupted  = 130
)

// exitError ends the program with a code and without a message: what there was to
// say has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program with its streams, so that tests can be its user.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := codeOf(ctx, err)
	if _, quiet := errors.AsType[exitError](err); !quiet {
		_, _ = fmt.Fprintf(cleanWriter{stderr}, "purser: %v\n", err)
	}
	return code
}

func codeOf(ctx context.Context, err error) int {
	if e, ok := errors.AsType[exitError](err); ok {
		return int(e)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitInvalid
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	switch purser.KindOf(err) {
	case purser.KindInvalid, purser.KindConflict, purser.KindStale:
		return exitInvalid
	case purser.KindNotFound:
		return exitNotFound
	case purser.KindUnauthorized, purser.KindForbidden:
		return exitUnauthorized
	case purser.KindInfeasible, purser.KindNoCapacity, purser.KindQuota:
		return exitInfeasible
	default:
		return exitFailed
	}
}

// usageError is a wrong command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "purser",
		Short: "Buy compute for AI work where it is cheapest, with a proof",
		Long: "Purser keeps the prices of GPUs, TPUs and FPGAs, packs training and inference jobs onto the\n" +
			"cheapest machines, proves how far that can be from the best, and carries it out.\n\n" +
			"Begin with: purser serve, then purser submit -f examples/first-run.yaml",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		near := ""
		if s := c.SuggestionsFor(args[0]); len(s) > 0 {
			near = "did you mean " + s[0] + "? "
		}
		return usageError{fmt.Errorf("there is no verb %q (%ssee: purser --help)", args[0], near)}
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see: %s --help)", err, c.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(
		newServe(), newPlan(), newSubmit(), newJobs(), newWait(), newLogs(), newCancel(),
		newLeases(), newProviders(), newPrices(), newCharges(), newRebalance(), newWhatIf(), newWorth(), newFront(), newToken(),
		newMigrate(), newDoctor(), newAgent(), newFakecloud(), newOpenAPI(), newBench(), newVersion(),
	)
	wrapArgs(root)
	return root
}

// wrapArgs makes a wrong number of arguments a usage error, as wrong flags are.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w (see: %s --help)", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}
