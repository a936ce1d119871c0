//go:build unix

package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"purser"
)

const (
	// socketPort is only a part of the socket's name.
	socketPort = "5432"
	socketName = ".s.PGSQL." + socketPort
	// socketPathLimit is the longest path that every unix takes (macOS has 104 bytes with
	// the closing NUL, Linux 108).
	socketPathLimit = 103
)

// socketDir makes the folder of the server's socket: private to the server's user, with
// a short path that follows from the data folder's. The caller holds the lock and has ended any
// survivor, so that a socket found there is a dead one.
func socketDir(cfg Config, id identity) (string, error) {
	const op = "embedded.socket"
	sum := sha256.Sum256([]byte(cfg.DataDir))
	name := "purser-pg-" + hex.EncodeToString(sum[:6])
	var errs []error
	for _, base := range socketBases() {
		dir := filepath.Join(base, name)
		switch {
		case len(dir)+1+len(socketName) > socketPathLimit || strings.ContainsAny(dir, ",\n"):
			errs = append(errs, fmt.Errorf("%s: the path is too long for a socket", base))
			continue
		case id.barrier(base) != "":
			errs = append(errs, fmt.Errorf("%s: uid %d may not enter", base, id.uid))
			continue
		}
		made, err := privateDir(base, dir, id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return made, nil
	}
	return "", hint(fail(purser.KindUnavailable, op, errors.Join(errs...), "no folder was found for the private server's socket"),
		"set TMPDIR to a short path that the server's user may enter")
}

// socketBases lists the folders that may hold it. $XDG_RUNTIME_DIR comes last, because it
// is removed when the user logs out, under a server that may run on.
func socketBases() []string {
	bases := []string{os.TempDir()}
	for _, dir := range []string{"/tmp", os.Getenv("XDG_RUNTIME_DIR")} {
		if filepath.IsAbs(dir) && !slices.Contains(bases, dir) {
			bases = append(bases, dir)
		}
	}
	return bases
}

// privateDir makes dir with mode 0700, or takes the one that an earlier start left. In a
// shared /tmp somebody else may have taken the name: then another is made.
func privateDir(base, dir string, id identity) (string, error) {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		info, statErr := os.Lstat(dir)
		if statErr != nil {
			return "", statErr
		}
		if uid, _ := owner(info); !info.IsDir() || uid != id.uid && int(uid) != os.Geteuid() {
			dir, err = os.MkdirTemp(base, "purser-pg-")
		} else {
			err = clearSocket(dir)
		}
	}
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", err
	}
	return dir, id.give(dir)
}

// clearSocket removes what a killed server left.
func clearSocket(dir string) error {
	for _, name := range []string{socketName, socketName + ".lock"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dsn is how pgx and psql reach a database behind the socket.
func dsn(socketDir, database string) string {
	q := url.Values{"host": {socketDir}, "port": {socketPort}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User(Role), Host: "", Path: "/" + database, RawQuery: q.Encode()}).String()
}
