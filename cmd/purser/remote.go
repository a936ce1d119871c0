package main

import (
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"purser"
	"purser/api"
	"purser/app"
)

// remoteFlags adds what every verb that talks to a server takes.
func remoteFlags(c *cobra.Command) {
	c.Flags().String("server", "", "address of the server (default: $PURSER_URL, else where the local server listens)")
	c.Flags().String("data-dir", "", "data folder of a local server, where its first token is kept (default: $PURSER_DATA_DIR)")
}

// remote makes the client of a verb: flags first, then the environment, then what
// a local server left in its data folder.
func remote(c *cobra.Command) (*api.Client, error) {
	url, _ := c.Flags().GetString("server")
	dir, _ := c.Flags().GetString("data-dir")
	if url == "" {
		url = os.Getenv("PURSER_URL")
	}
	token := os.Getenv("PURSER_TOKEN")
	if dir == "" {
		dir = os.Getenv("PURSER_DATA_DIR")
	}
	if dir == "" {
		dir = app.DefaultDataDir()
	}
	kept, err := app.ReadCredentials(filepath.Join(dir, app.CredentialsFile))
	if err != nil && (url == "" || token == "") && purser.KindOf(err) != purser.KindNotFound {
		return nil, err
	}
	if url == "" {
		url = kept.URL
	}
	if url == "" {
		url = "http://" + app.DefaultListen
	}
	if token == "" && (kept.URL == "" || kept.URL == url) {
		token = kept.Token
	}
	return api.NewClient(url, token), nil
}

// project adds --project to verbs that name a job.
func projectFlag(c *cobra.Command) {
	c.Flags().String("project", "", "project of a job given by name")
}

func projectOf(c *cobra.Command) string {
	p, _ := c.Flags().GetString("project")
	return p
}

// showAnswer asks the server and shows what it answers.
func showAnswer[T any](c *cobra.Command, output string, ask func(*api.Client) (T, error), table func(io.Writer, T) error) error {
	client, err := remote(c)
	if err != nil {
		return err
	}
	out, err := ask(client)
	if err != nil {
		return err
	}
	return show(c, output, out, func(w io.Writer) error { return table(w, out) })
}
