package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"purser"
	"purser/api"
	"purser/optimizer/highs"
	"purser/postgres"
	"purser/postgres/embedded"
	"purser/pricing/bundled"
	"purser/server"
	"purser/web"
)

// DescribeAPI is the API's description, OpenAPI 3.1. It builds the API without
// anything behind it, and without a version, so that it changes only when the API does.
func DescribeAPI() ([]byte, error) {
	return server.New(server.Config{Version: "1", Logger: slog.New(slog.DiscardHandler)}, server.Parts{}).Describe()
}

// Finding is what doctor says of one thing.
type Finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // a start fails without it
	Says   string `json:"says"`
	Hint   string `json:"hint,omitempty"`
}

// Diagnose looks at all that a start needs, without starting or changing anything.
// file is the configuration that was named; empty: none was.
func Diagnose(ctx context.Context, file string, c Config) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out := []Finding{
		{Name: "platform", OK: true, Says: Platform()},
		configFinding(file),
		folderFinding(c.DataDir),
		databaseFinding(ctx, c),
		solverFinding(ctx, c),
		pricesFinding(),
		pageFinding(),
		serverFinding(ctx, c),
	}
	return append(out, providerFindings(ctx, c)...)
}

// found turns an error into a finding with its hint.
func found(name string, needed bool, says string, err error) Finding {
	f := Finding{Name: name, OK: err == nil, Needed: needed, Says: says}
	if err != nil {
		f.Says = err.Error()
		if e, ok := errors.AsType[*purser.Error](err); ok {
			f.Says, f.Hint = e.Message, e.Hint
		}
	}
	return f
}

func configFinding(named string) Finding {
	path := cmp.Or(named, ConfigFile())
	says := path
	if _, err := os.Stat(path); err != nil {
		says += " (not there: defaults)"
	}
	return Finding{Name: "configuration", OK: true, Says: says}
}

// accessWrite is access(2)'s W_OK.
const accessWrite = 2

func folderFinding(dir string) Finding {
	says := dir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		says, err = dir+" (made at the first start)", nil
	case err == nil && !info.IsDir():
		err = purser.Errorf(purser.KindInvalid, "app.Diagnose", "%s is not a folder", dir)
	case err == nil && syscall.Access(dir, accessWrite) != nil:
		err = unusable(dir, "cannot be written", nil)
	case err == nil:
		err = ours(dir)
	}
	return found("data folder", true, says, err)
}

func databaseFinding(ctx context.Context, c Config) Finding {
	if c.DatabaseURL != "" {
		db, err := postgres.Open(ctx, c.DatabaseURL, postgres.Options{})
		if err == nil {
			db.Close()
		}
		return found("database", true, "PURSER_DATABASE_URL answers", err)
	}
	b, err := embedded.FindBinaries(c.embedded(nil))
	return found("database", true, fmt.Sprintf("private PostgreSQL %s from %s (%s), data in %s", b.Version, b.Dir, b.Origin, filepath.Join(c.DataDir, "postgres")), err)
}

func solverFinding(ctx context.Context, c Config) Finding {
	cache := filepath.Join(c.DataDir, "cache", "solver")
	if missing(cache) {
		cache = "" // nothing is made here
	}
	rt, err := highs.New(ctx, highs.Config{CacheDir: cache})
	says := ""
	if err == nil {
		says = "HiGHS " + rt.Version()
		err = rt.Close(ctx)
	}
	return found("solver", true, says, err)
}

func pricesFinding() Finding {
	offers, err := bundled.Offers()
	return found("bundled prices", true, fmt.Sprintf("%d offers", len(offers)), err)
}

func pageFinding() Finding {
	if _, ok := web.Files(); !ok {
		return Finding{Name: "page", Says: "this program was built without its web page", Hint: "run make build"}
	}
	return Finding{Name: "page", OK: true, Says: "built in"}
}

// providerFindings has every enabled provider list machines, which needs credentials
// and the network. Those of an installation that is none are asked for, so the list is
// empty.
func providerFindings(ctx context.Context, c Config) []Finding {
	a := New(c, Options{Logger: slog.New(slog.DiscardHandler)})
	a.installation = "doctor"
	var out []Finding
	for _, k := range kindsOfProvider() {
		conf, enabled := c.Providers[k.name]
		if !enabled {
			continue
		}
		p, err := k.build(ctx, a, conf)
		if err == nil {
			_, err = p.List(ctx)
		}
		says := "answers"
		if conf.DryRun {
			says += "; dry run: nothing is launched"
		}
		out = append(out, found("provider "+k.name, false, says, err))
	}
	return out
}

func serverFinding(ctx context.Context, c Config) Finding {
	cred, err := ReadCredentials(filepath.Join(c.DataDir, CredentialsFile))
	if err != nil {
		return Finding{Name: "server", OK: true, Says: "never started with this data folder"}
	}
	h, err := api.NewClient(cred.URL, cred.Token).Health(ctx)
	if err != nil {
		return Finding{Name: "server", OK: true, Says: "does not run (it was at " + cred.URL + ")"}
	}
	return found("server", false, fmt.Sprintf("%s at %s, version %s", h.Status, cred.URL, h.Version), nil)
}
