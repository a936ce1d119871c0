package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"purser"
	"purser/server"
)

// program is the agent's program for one architecture. The file stays open, so that
// what is given out is what was hashed when a newer one is put in its place.
type program struct {
	file   *os.File
	size   int64
	sha256 string
}

// agentArchs are those that machines may have.
func agentArchs() []string { return []string{"amd64", "arm64"} }

// startPrograms opens and hashes the programs that new machines fetch: this one for its
// own architecture, and those of the folder agent_programs for others. Machines run
// Linux, so on another system the folder has to hold them all.
func (a *App) startPrograms(context.Context) error {
	a.programs = map[string]program{}
	a.undo = append(a.undo, func(context.Context) error {
		var errs []error
		for _, p := range a.programs {
			errs = append(errs, p.file.Close())
		}
		return errors.Join(errs...)
	})
	if runtime.GOOS == "linux" {
		exe, err := os.Executable()
		if err == nil {
			err = a.addProgram(runtime.GOARCH, exe)
		}
		if err != nil {
			return purser.Errorf(purser.KindInternal, "app.Start", "the server's own program cannot be read, which it is to hand to machines: %w", err)
		}
	}
	dir := a.config.AgentPrograms
	if dir == "" {
		return nil
	}
	found := 0
	for _, arch := range agentArchs() {
		path := filepath.Join(dir, "purser-linux-"+arch)
		if _, have := a.programs[arch]; have { // ours is of the server's own version for certain
			if _, err := os.Stat(path); err == nil {
				found++
			}
			continue
		}
		switch err := a.addProgram(arch, path); {
		case err == nil:
			found++
		case !errors.Is(err, fs.ErrNotExist):
			return purser.Errorf(purser.KindInvalid, "app.Start", "the agent's program for %s cannot be read: %w", arch, err)
		}
	}
	if found == 0 {
		return &purser.Error{
			Kind: purser.KindInvalid, Op: "app.Start", Message: "the folder " + dir + " holds no agent's program",
			Hint: "agent_programs names a folder with purser-linux-amd64 or purser-linux-arm64", Place: &purser.Place{Path: "agent_programs"},
		}
	}
	return nil
}

func (a *App) addProgram(arch, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err == nil && size == 0 {
		err = purser.Errorf(purser.KindInvalid, "app.Start", "%s is empty", path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	p := program{file: f, size: size, sha256: hex.EncodeToString(h.Sum(nil))}
	a.programs[arch] = p
	a.log.Debug("agent's program", slog.String("arch", arch), slog.String("path", path), slog.Int64("bytes", size), slog.String("sha256", p.sha256))
	return nil
}

// agentSHA256 is what new machines are told to expect, by architecture.
func (a *App) agentSHA256() map[string]string {
	sums := map[string]string{}
	for arch, p := range a.programs {
		sums[arch] = p.sha256
	}
	return sums
}

func noProgram(arch string) error {
	return &purser.Error{
		Kind: purser.KindNotFound, Op: "app.Program", Message: "this server has no agent for " + arch,
		Hint: "put purser-linux-" + arch + " into the folder that agent_programs names, and start the server again",
	}
}

type programsPart struct{ *App }

func (p programsPart) Program(arch string) (server.Program, error) {
	have, ok := p.programs[arch]
	if !ok {
		return server.Program{}, noProgram(arch)
	}
	return server.Program{Content: io.NewSectionReader(have.file, 0, have.size), SHA256: have.sha256}, nil
}

var _ server.Programs = programsPart{}
