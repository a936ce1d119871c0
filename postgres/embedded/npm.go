//go:build unix

package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// link is one line of the npm package's pg-symlinks.json: npm cannot pack symbolic
// links, so the package lists those its libraries need. Both paths start with "native/".
type link struct {
	Source string `json:"source"` // what the link points at
	Target string `json:"target"` // the link itself
}

// makeLinks makes the links that root/pg-symlinks.json lists, which the package's own
// install script makes only where npm was allowed to run it. A link that is right is left alone, and
// several processes may do this at once. Without that file there is nothing to do.
func makeLinks(root string) error {
	data, err := os.ReadFile(filepath.Join(root, "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []link
	if err := json.Unmarshal(data, &links); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(root, "pg-symlinks.json"), err)
	}
	for _, l := range links {
		source, target := strings.TrimPrefix(l.Source, "native/"), strings.TrimPrefix(l.Target, "native/")
		if !filepath.IsLocal(source) || !filepath.IsLocal(target) || path.Dir(source) != path.Dir(target) {
			return fmt.Errorf("%s lists a link that leaves its folder: %q", filepath.Join(root, "pg-symlinks.json"), l.Target)
		}
		if err := makeLink(path.Base(source), filepath.Join(root, filepath.FromSlash(target))); err != nil {
			return err
		}
	}
	return nil
}

// makeLink puts a link at name, by renaming, so that nobody ever finds it missing.
func makeLink(points, name string) error {
	if have, err := os.Readlink(name); err == nil && have == points {
		return nil
	}
	if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
		return nil // an installer put the library itself there
	}
	dir, err := os.MkdirTemp(filepath.Dir(name), ".link-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	temp := filepath.Join(dir, filepath.Base(name))
	if err := os.Symlink(points, temp); err != nil {
		return err
	}
	return os.Rename(temp, name)
}

// copyTree copies an installation to where the identity can read it, once: the copy's
// name holds what identifies the original, and it gets that name when it is whole.
func copyTree(cfg Config, id identity, root string) (string, error) {
	info, err := os.Stat(filepath.Join(root, "bin", "postgres"))
	if err != nil {
		return "", err
	}
	if bki, _ := filepath.Glob(filepath.Join(root, "share", "*", "postgres.bki")); len(bki) == 0 && !exists(filepath.Join(root, "share", "postgres.bki")) {
		return "", fmt.Errorf("uid %d cannot run the programs in %s, and without their share folder they cannot be copied elsewhere", id.uid, root)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", root, info.Size(), info.ModTime().UnixNano()))
	var errs []error
	for _, parent := range cacheDirs(cfg, id) {
		dir := filepath.Join(parent, "postgres-"+hex.EncodeToString(sum[:6]))
		if err := copyInto(parent, dir, root, id); err != nil {
			errs = append(errs, err)
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("no folder for a copy of %s: %w", root, errors.Join(errs...))
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// cacheDirs lists where copies may go.
func cacheDirs(cfg Config, id identity) []string {
	if cfg.CacheDir != "" {
		return []string{cfg.CacheDir}
	}
	if id.drop {
		return []string{"/var/cache/purser", "/var/lib/purser/cache"}
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return []string{filepath.Join(dir, "purser")}
	}
	return []string{filepath.Join(filepath.Dir(cfg.DataDir), "cache")}
}

func copyInto(parent, dir, root string, id identity) error {
	if err := makeParents(parent); err != nil {
		return err
	}
	if b := id.barrier(parent); b != "" {
		return fmt.Errorf("uid %d may not enter %s", id.uid, b)
	}
	if info, err := os.Lstat(dir); err == nil {
		// Programs are run from here: it must be ours alone to write.
		if uid, _ := owner(info); !info.IsDir() || int(uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("%s was not made by this user", dir)
		}
		return nil
	}
	temp, err := os.MkdirTemp(parent, ".copying-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for _, part := range []string{"bin", "lib", "share", "pg-symlinks.json"} {
		if from := filepath.Join(root, part); exists(from) {
			if err := copyFiles(from, filepath.Join(temp, part)); err != nil {
				return err
			}
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}

// copyFiles copies folders, files and links, with permissions widened for reading.
func copyFiles(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			if err := os.MkdirAll(dest, 0o755); err != nil {
				return err
			}
			return os.Chmod(dest, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			points, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(points, dest)
		case d.Type().IsRegular():
			return copyFile(name, dest)
		}
		return nil
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		err = out.Chmod(mode)
	}
	return errors.Join(err, out.Close())
}
