//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"purser"
)

// contents says what a data folder holds; major is 0 where there is no data yet.
type contents struct {
	major int
}

// inspect reads what dir holds without changing it.
func inspect(dir string) (contents, error) {
	const op = "embedded.inspect"
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return contents{}, nil
	case errors.Is(err, fs.ErrPermission):
		return contents{}, hint(fail(purser.KindForbidden, op, err, "the data folder %s belongs to another user", dir),
			"run purser as its owner, or choose another data folder")
	case errors.Is(err, syscall.ENOTDIR):
		return contents{}, fail(purser.KindInvalid, op, err, "the data folder %s is not a folder", dir)
	case err != nil:
		return contents{}, fail(purser.KindUnavailable, op, err, "the data folder %s cannot be read", dir)
	case len(entries) == 0:
		return contents{}, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, hint(fail(purser.KindConflict, op, nil, "the data folder %s holds something that is not a Postgres data folder (for instance %s)", dir, entries[0].Name()),
			"choose a missing or an empty folder; nothing was changed")
	}
	if err != nil {
		return contents{}, fail(purser.KindUnavailable, op, err, "the version of the data in %s cannot be read", dir)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || major <= 0 {
		return contents{}, hint(fail(purser.KindInvalid, op, err, "%s says %q, which is no version", filepath.Join(dir, "PG_VERSION"), strings.TrimSpace(string(text))),
			"the folder may be damaged; nothing was changed")
	}
	return contents{major: major}, nil
}

// makeParents makes dir and what leads to it. Folders that it makes can be passed
// through by other users, whatever the umask; folders that exist are left alone.
func makeParents(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(dir, 0o755)
}

// adopt makes existing data the identity's, as when root restored it or the configured
// user has changed. The folder itself changes hands last, so that an adoption that was cut short is
// seen and done again.
func adopt(dir string, id identity) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if uid, _ := owner(info); id.drop && uid != id.uid {
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if err == nil && name != dir {
				err = id.give(name)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a backend that is still ending removed it
			}
			return err
		})
		if err := errors.Join(err, id.give(dir)); err != nil {
			return err
		}
	}
	// PostgreSQL accepts 0700 and 0750 alone.
	if mode := info.Mode().Perm(); mode != 0o700 && mode != 0o750 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// initialize makes a data folder: initdb fills a sibling, which takes the data folder's
// name only when it is whole. Half-made siblings of earlier starts are cleared; the lock
// makes sure that nobody is filling one now.
func initialize(ctx context.Context, cfg Config, id identity, bins Binaries) error {
	const op = "embedded.initdb"
	leftovers, err := filepath.Glob(globQuote(cfg.DataDir) + ".init-*")
	if err != nil {
		return err
	}
	for _, name := range leftovers {
		if err := os.RemoveAll(name); err != nil {
			return fail(purser.KindUnavailable, op, err, "the half-made data folder %s cannot be removed", name)
		}
	}
	var temp string
	for _, locale := range []string{"C.UTF-8", "C"} {
		if temp, err = os.MkdirTemp(filepath.Dir(cfg.DataDir), filepath.Base(cfg.DataDir)+".init-"); err != nil {
			return fail(purser.KindUnavailable, op, err, "no folder can be made beside %s", cfg.DataDir)
		}
		defer os.RemoveAll(temp) // after the rename there is nothing under this name
		if err := id.give(temp); err != nil {
			return fail(purser.KindUnavailable, op, err, "%s cannot be given to uid %d", temp, id.uid)
		}
		var out string
		out, err = output(id.command(ctx, "/", filepath.Join(bins.Dir, "initdb"), initdbArguments(cfg, temp, locale)...))
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return fail(purser.KindUnavailable, op, context.Cause(ctx), "initdb was interrupted")
		}
		err = fmt.Errorf("%w: %s", err, complaint(out))
		if !strings.Contains(out, "locale") {
			break
		}
	}
	if err != nil {
		return fail(purser.KindUnavailable, op, err, "initdb of PostgreSQL %s could not make the data folder %s", bins.Version, cfg.DataDir)
	}
	if err := os.Rename(temp, cfg.DataDir); err != nil {
		e := fail(purser.KindUnavailable, op, err, "the new data folder cannot take its place at %s", cfg.DataDir)
		if errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) {
			return hint(e, "it is a mount point: use a folder inside of it")
		}
		return e
	}
	if cfg.Durable {
		return syncDir(filepath.Dir(cfg.DataDir))
	}
	return nil
}

func initdbArguments(cfg Config, dir, locale string) []string {
	args := []string{"-D", dir, "-U", Role, "-A", "trust", "-E", "UTF8", "--locale=" + locale, "-T", "english"}
	if !cfg.Durable {
		args = append(args, "--no-sync")
	}
	return args
}

// globQuote makes path match only itself in a pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
