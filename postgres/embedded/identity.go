//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"purser"
)

// nobody is the uid and gid of last resort when the launcher is root.
const nobody = 65534

// identity is who the server runs as.
type identity struct {
	uid, gid uint32
	drop     bool // the launcher is root and must change to uid and gid
}

// identityFor decides who the server runs as. The owner of existing data comes before
// the default accounts, so that an account that appears later does not strand the data.
func identityFor(cfg Config) (identity, error) {
	const op = "embedded.identity"
	euid := os.Geteuid()
	if euid != 0 {
		self := identity{uid: uint32(euid), gid: uint32(os.Getegid())}
		if cfg.User == "" {
			return self, nil
		}
		if id, err := lookup(cfg.User); err != nil || id.uid != self.uid {
			return self, hint(fail(purser.KindInvalid, op, err, "only root can run Postgres as the user %q", cfg.User),
				"leave the user empty to run it as yourself")
		}
		return self, nil
	}
	if cfg.User != "" {
		id, err := lookup(cfg.User)
		if err != nil {
			return id, fail(purser.KindInvalid, op, err, "the user %q for Postgres does not exist here", cfg.User)
		}
		if id.uid == 0 {
			return id, hint(fail(purser.KindInvalid, op, nil, "Postgres refuses to run as root"), "name another user for it")
		}
		return id, nil
	}
	if info, err := os.Stat(filepath.Join(cfg.DataDir, "PG_VERSION")); err == nil {
		if uid, gid := owner(info); uid != 0 {
			return identity{uid: uid, gid: gid, drop: true}, nil
		}
	}
	if id, err := lookup("postgres"); err == nil && id.uid != 0 {
		return id, nil
	}
	return identity{uid: nobody, gid: nobody, drop: true}, nil
}

// lookup finds an account by name or number; a number needs no account.
func lookup(name string) (identity, error) {
	u, err := user.Lookup(name)
	if n, numErr := strconv.ParseUint(name, 10, 32); err != nil && numErr == nil {
		u = &user.User{Uid: name, Gid: name}
		if known, unknown := user.LookupId(strconv.FormatUint(n, 10)); unknown == nil {
			u = known
		}
	} else if err != nil {
		return identity{}, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return identity{}, fmt.Errorf("uid of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return identity{}, fmt.Errorf("gid of %s: %w", name, err)
	}
	return identity{uid: uint32(uid), gid: uint32(gid), drop: true}, nil
}

// owner is who a file belongs to; root where the platform does not say.
func owner(info fs.FileInfo) (uid, gid uint32) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return st.Uid, st.Gid
}

// give makes path the identity's; it does nothing unless the launcher is root.
func (id identity) give(path string) error {
	if !id.drop {
		return nil
	}
	return os.Lchown(path, int(id.uid), int(id.gid))
}

// barrier is the first folder on the way to path, path included, that the identity
// may not pass; "" when there is none. It reads permission bits only and so serves to
// explain a refusal, not to decide one.
func (id identity) barrier(path string) string {
	if parent := filepath.Dir(path); parent != path {
		if b := id.barrier(parent); b != "" {
			return b
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	bit := fs.FileMode(0o001)
	switch uid, gid := owner(info); {
	case uid == id.uid:
		bit = 0o100
	case gid == id.gid:
		bit = 0o010
	}
	if info.Mode()&bit == 0 {
		return path
	}
	return ""
}

// command prepares a program to run as the identity, away from the caller's folder and
// from PG* variables that would change what it does.
func (id identity) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.SysProcAttr = id.attributes(syscall.SIGKILL)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// credential is nil unless the launcher must change its identity for a child.
func (id identity) credential() *syscall.Credential {
	if !id.drop {
		return nil
	}
	return &syscall.Credential{Uid: id.uid, Gid: id.gid}
}

// output runs a short program to its end, on a thread that outlives it, because a
// child's death signal follows the thread that created it.
func output(cmd *exec.Cmd) (string, error) {
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		out, err := cmd.CombinedOutput()
		done <- result{out, err}
	}()
	r := <-done
	return string(r.out), r.err
}

// mayEnter reports whether the identity can use dir as its working folder.
func (id identity) mayEnter(ctx context.Context, program, dir string) error {
	_, err := output(id.command(ctx, dir, program, "--version"))
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil // it ran, so it was let in
	}
	return err
}
