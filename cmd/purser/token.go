package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"purser/api"
)

func newToken() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make, list and end API tokens; sign a browser in"}
	c.AddCommand(newTokenCreate(), newTokenList(), newTokenRevoke(), newTokenLink())
	return c
}

func newTokenCreate() *cobra.Command {
	c := &cobra.Command{Use: "create NAME", Short: "Make a token; its secret is shown this once", Args: cobra.ExactArgs(1)}
	remoteFlags(c)
	output := outputFlag(c)
	role := c.Flags().String("role", string(api.RoleViewer), "viewer, operator or admin")
	valid := c.Flags().String("valid-for", "", "how long it is valid, e.g. 30d (default: until it is revoked)")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		t, err := client.CreateToken(c.Context(), api.NewToken{Name: args[0], Role: api.Role(*role), ValidFor: *valid})
		if err != nil {
			return err
		}
		return show(c, *output, t, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s\nThis is shown only now. Use it as PURSER_TOKEN, or as Authorization: Bearer TOKEN. Id: %s\n", t.Secret, t.ID)
			return err
		})
	}
	return c
}

func newTokenList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List tokens without their secrets", Args: cobra.NoArgs}
	remoteFlags(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		out, err := client.Tokens(c.Context())
		if err != nil {
			return err
		}
		return show(c, *output, out, func(w io.Writer) error {
			now := time.Now()
			rows := [][]string{}
			for _, t := range out.Tokens {
				state := "valid"
				switch {
				case t.RevokedAt != nil:
					state = "revoked"
				case t.ExpiresAt != nil && t.ExpiresAt.Before(now):
					state = "expired"
				}
				used := "never"
				if t.UsedAt != nil {
					used = age(*t.UsedAt, now)
				}
				rows = append(rows, []string{t.Name, string(t.Role), state, age(t.CreatedAt, now), used, t.ID})
			}
			return grid(w, []string{"NAME", "ROLE", "STATE", "AGE", "LAST USED", "ID"}, rows, 3, 4)
		})
	}
	return c
}

func newTokenRevoke() *cobra.Command {
	c := &cobra.Command{Use: "revoke ID", Short: "End a token and the browser sessions made from it", Args: cobra.ExactArgs(1)}
	remoteFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		if err := client.RevokeToken(c.Context(), args[0]); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s is revoked.\n", args[0])
		return err
	}
	return c
}

func newTokenLink() *cobra.Command {
	c := &cobra.Command{Use: "link", Short: "Print a one-time link that signs a browser in", Args: cobra.NoArgs}
	remoteFlags(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := remote(c)
		if err != nil {
			return err
		}
		l, err := client.Login(c.Context())
		if err != nil {
			return err
		}
		return show(c, *output, l, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s\nIt works once, until %s.\n", l.URL, l.Till.Local().Format(time.Kitchen))
			return err
		})
	}
	return c
}
