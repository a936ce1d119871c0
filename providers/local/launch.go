//go:build unix

package local

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"purser"
	"purser/providers"
)

// Launch starts the lease's agent, or finds it. See the package comment.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (out providers.Instance, err error) {
	if err := r.Check(); err != nil {
		return out, err
	}
	if r.Installation != p.Installation {
		return out, purser.Errorf(purser.KindForbidden, "local.Launch", "this host launches for another installation")
	}
	err = p.locked(ctx, "local.Launch", r.Lease.ID, func(dir string) error {
		m, err := readMachine(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if m, err = p.intend(dir, r); err != nil {
				return err
			}
		case err != nil:
			return err
		case m.Installation != p.Installation:
			return purser.Errorf(purser.KindForbidden, "local.Launch", "the machine of lease %s belongs to another installation", r.Lease.ID)
		case m.Token != r.Token && m.Token != "":
			return purser.Errorf(purser.KindConflict, "local.Launch", "lease %s has a machine of another launch", r.Lease.ID)
		}
		if m.State == stateIntent {
			if m, err = p.start(ctx, dir, m, r); err != nil {
				return err
			}
		}
		out, err = p.look(dir, m)
		return err
	})
	return out, err
}

// intend writes down what is about to be started, if there is room for it.
func (p *Provider) intend(dir string, r providers.Request) (machine, error) {
	m := machine{
		Lease: r.Lease.ID, Installation: p.Installation, Token: r.Token, Offer: r.Lease.Offer.ID(), Private: !r.Lease.Rehearsal && p.owns(r.Lease.Offer),
		State: stateIntent, AskedAt: p.Now().UTC(),
	}
	if err := p.room(m, r.Lease.Offer); err != nil {
		return m, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return m, err
	}
	if err := p.reach("folder"); err != nil {
		return m, err
	}
	if err := writeFile(filepath.Join(dir, "join-token"), []byte(r.JoinToken)); err != nil {
		return m, err
	}
	if err := p.reach("token"); err != nil {
		return m, err
	}
	if err := m.write(dir); err != nil {
		return m, err
	}
	return m, p.reach("intent")
}

// owns says whether the offer is one of the operator's own hosts.
func (p *Provider) owns(o purser.Offer) bool {
	for _, h := range p.Hosts {
		if p.offer(h).ID() == o.ID() {
			return true
		}
	}
	return false
}

// live reads the machines that are not gone.
func (p *Provider) live() ([]machine, error) {
	entries, err := os.ReadDir(filepath.Join(p.Dir, leasesDir))
	if err != nil {
		return nil, err
	}
	var out []machine
	for _, e := range entries {
		m, err := readMachine(filepath.Join(p.Dir, leasesDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || err == nil && m.State == stateGone {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// room says whether one more machine may be started: own hosts up to their count,
// stand-ins up to MaxMachines.
func (p *Provider) room(m machine, offer purser.Offer) error {
	all, err := p.live()
	if err != nil {
		return err
	}
	live, same := 0, 0
	for _, other := range all {
		if other.Private != m.Private {
			continue
		}
		live++
		if other.Offer == m.Offer {
			same++
		}
	}
	if !m.Private && live >= p.MaxMachines {
		return &purser.Error{
			Kind: purser.KindNoCapacity, Op: "local.Launch", RetryAfter: 0,
			Message: "this host already stands in for " + itoa(live) + " machines, which is all that it may",
			Hint:    "raise the cap on local machines, or wait for work to end",
		}
	}
	for _, h := range p.Hosts {
		if m.Private && p.offer(h).ID() == offer.ID() && same >= max(h.Count, 1) {
			return purser.Errorf(purser.KindNoCapacity, "local.Launch", "all %d of host %s are in use", same, h.Name)
		}
	}
	return nil
}

// start starts the agent of an intent, unless an earlier launch that was cut short
// has started it, and writes down its process.
func (p *Provider) start(ctx context.Context, dir string, m machine, r providers.Request) (machine, error) {
	pid, _ := m.agentOf(dir)
	if pid == 0 {
		var err error
		if pid, err = p.spawn(ctx, dir, r); err != nil {
			return m, err
		}
	}
	if err := p.reach("started"); err != nil {
		return m, err
	}
	m.State, m.PID, m.Start = stateStarted, pid, processStart(pid)
	if m.Start == "" {
		m.Reason = "its agent ended as soon as it was started; see agent.log in its folder"
	}
	if err := m.write(dir); err != nil {
		return m, err
	}
	return m, p.reach("recorded")
}

// spawn starts the agent in a session of its own, so that neither a signal to the
// server's group nor the server's death reaches it.
func (p *Provider) spawn(ctx context.Context, dir string, r providers.Request) (int, error) {
	shape, err := json.Marshal(r.Lease.Offer.Shape)
	if err != nil {
		return 0, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "agent.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.Binary, p.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(p.inherited(os.Environ()),
		"PURSER_SERVER_URL="+r.ServerURL,
		"PURSER_LEASE="+string(r.Lease.ID),
		"PURSER_AGENT_DIR="+dir,
		"PURSER_CHECKPOINT_ROOT="+p.CheckpointRoot,
		"PURSER_SHAPE="+string(shape),
		"PURSER_JOIN_TOKEN_FILE="+filepath.Join(dir, "join-token"),
	)
	if err := cmd.Start(); err != nil {
		return 0, &purser.Error{Kind: purser.KindInvalid, Op: "local.Launch", Message: "the agent cannot be started from " + p.Binary, Cause: err}
	}
	go func() { _ = cmd.Wait() }() // takes its exit from the kernel; whether it lives is read from its lock
	return cmd.Process.Pid, nil
}

// inherited is what agents, and tasks through them, have of the server's
// environment. It is a list of what is let through, since the server's holds
// passwords.
func (p *Provider) inherited(environ []string) []string {
	let := append([]string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "XDG_RUNTIME_DIR", "DOCKER_HOST", "LD_LIBRARY_PATH",
	}, p.PassEnv...)
	var out []string
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		for _, ok := range let {
			if name == ok || (strings.HasPrefix(name, "LC_") && ok == "LANG") {
				out = append(out, e)
				break
			}
		}
	}
	return out
}

func (p *Provider) reach(step string) error {
	if p.step == nil {
		return nil
	}
	return p.step(step)
}
