package ssh

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"purser"
	"purser/providers"
)

// Launch starts the lease's agent on the host of its offer, or finds it.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	const op = "ssh.Launch"
	var none providers.Instance
	if err := r.Check(); err != nil {
		return none, err
	}
	if err := p.begin(ctx, op, r.Lease.ID); err != nil {
		return none, err
	}
	h := p.hosts[r.Lease.Offer.InstanceType]
	switch {
	case r.Installation != p.Installation:
		return none, purser.Errorf(purser.KindForbidden, op, "this pool launches for another installation")
	case h == nil:
		return none, &purser.Error{
			Kind: purser.KindInvalid, Op: op, Message: fmt.Sprintf("offer %s: no host of the inventory is named %q", r.Lease.Offer.ID(), r.Lease.Offer.InstanceType),
			Hint: "put it back into the inventory, or wait for the next plan",
		}
	case strings.ContainsAny(r.Token, " \t"):
		return none, purser.Errorf(purser.KindInvalid, op, "a client token has no blanks")
	}
	in, err := p.launch(ctx, h, r)
	return in, named(r.Lease.Offer.ID(), err)
}

// launchRounds: the program is asked for once, and once more if it went missing meanwhile.
const launchRounds = 3

func (p *Provider) launch(ctx context.Context, h *host, r providers.Request) (none providers.Instance, err error) {
	v, err := p.launchValues(h, r)
	if err != nil {
		return none, err
	}
	for range launchRounds {
		lines, err := p.script(ctx, h, "launch", v)
		if err != nil {
			return none, err
		}
		got, err := answers(lines)
		if err != nil {
			return none, err
		}
		if len(got) != 1 {
			return none, purser.Errorf(purser.KindUnavailable, "ssh.Launch", "host %s answered for %d leases", h.Name, len(got))
		}
		switch got[0].state {
		case stateFull:
			return none, &purser.Error{
				Kind: purser.KindNoCapacity, Op: "ssh.Launch", Message: fmt.Sprintf("host %s: all of its %d places are taken", h.Name, h.places()),
				Hint: "wait for a lease to end, or add hosts to the inventory",
			}
		case stateDrained:
			return none, &purser.Error{
				Kind: purser.KindNoCapacity, Op: "ssh.Launch", Message: "host " + h.Name + " is drained and takes no new lease",
				Hint: "take the mark drained from it in the inventory",
			}
		}
		arch := needed(lines)
		if arch == "" || got[0].state != string(providers.Pending) {
			return p.instance(h, got[0]), nil
		}
		if err := p.upload(ctx, h, arch); err != nil {
			return none, err
		}
	}
	return none, purser.Errorf(purser.KindUnavailable, "ssh.Launch", "host %s has lost the agent's program %d times", h.Name, launchRounds)
}

func needed(lines []string) string {
	for _, line := range lines {
		if arch, ok := strings.CutPrefix(line, "need "); ok {
			return arch
		}
	}
	return ""
}

func (p *Provider) launchValues(h *host, r providers.Request) (values, error) {
	shape, err := json.Marshal(r.Lease.Offer.Shape)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "ssh.Launch", err)
	}
	places := h.places()
	if h.Drained {
		places = 0
	}
	return values{
		"lease": string(r.Lease.ID), "token": r.Token, "join": r.JoinToken, "server": r.ServerURL, "shape": string(shape), "places": strconv.Itoa(places),
		"amd64": p.sum("amd64"), "arm64": p.sum("arm64"),
	}, nil
}

// sum is the checksum of the program for an architecture; empty: there is none.
func (p *Provider) sum(arch string) string {
	program, err := p.Program(arch)
	if err != nil {
		return "" // said when a host needs it
	}
	return program.SHA256
}

// named says in an error of a launch whose it is.
func named(offer purser.OfferID, err error) error {
	if err == nil {
		return nil
	}
	out := purser.Error{Kind: purser.KindOf(err), Op: "ssh.Launch", Message: err.Error(), Cause: err}
	if e, ok := err.(*purser.Error); ok { //nolint:errorlint // the outermost alone: its words are kept
		out = *e
	}
	out.Message = fmt.Sprintf("offer %s: %s", offer, out.Message)
	if out.Hint == "" {
		out.Hint = hints[out.Kind]
	}
	return &out
}

// hints are for errors of a launch that have none of their own.
var hints = map[purser.Kind]string{
	purser.KindUnavailable: "see that the host is up and reachable at its address and port; if it is to stay away, mark it drained",
	purser.KindConflict:    "end the lease; its machine belongs to another attempt",
	purser.KindInternal:    "this is a fault of Purser's own; its log has the cause",
}

// upload is a program on its way to a host.
type upload struct {
	sum  string
	done chan struct{}
	err  error
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// upload brings the program to a host. It goes on when ctx ends, since a program can take longer
// than a caller has; the next call waits on for it.
func (p *Provider) upload(ctx context.Context, h *host, arch string) error {
	program, err := p.Program(arch)
	if err == nil && !sumForm.MatchString(program.SHA256) {
		err = fmt.Errorf("its checksum %.80q is not 64 hexadecimal digits", program.SHA256)
	}
	if err != nil {
		return &purser.Error{
			Kind: purser.KindInvalid, Op: "ssh.upload", Message: "host " + h.Name + " needs the agent's program for " + arch + ", which this server does not have",
			Hint: "give the server the program for " + arch, Cause: err,
		}
	}
	h.mu.Lock()
	u := h.upload
	if u == nil || u.sum != program.SHA256 {
		u = &upload{sum: program.SHA256, done: make(chan struct{})}
		h.upload = u
		p.work.Go(func() {
			u.err = p.send(context.WithoutCancel(ctx), h, program)
			h.mu.Lock()
			if h.upload == u {
				h.upload = nil
			}
			h.mu.Unlock()
			close(u.done)
		})
	}
	h.mu.Unlock()
	select {
	case <-u.done:
		return u.err
	case <-ctx.Done():
		return h.failure("ssh.upload", ctx.Err())
	}
}

// send writes the program beside its name and renames it if it is what it should be.
func (p *Provider) send(ctx context.Context, h *host, program Program) error {
	ctx, cancel := context.WithTimeout(ctx, p.UploadTimeout)
	defer cancel()
	defer context.AfterFunc(p.ended, cancel)()
	text := "umask 077; cd -- " + quote(h.root()) + " && { [ -d programs ] || mkdir -p programs; } || exit 73; t=programs/purser-" + program.SHA256 + ".$$.part; " +
		`not() { rm -f "$t"; exit $1; }; cat >"$t" || not 28; s=$(sha256sum "$t"); [ "${s%% *}" = ` + program.SHA256 + ` ] || not 74; ` +
		`chmod 700 "$t" && mv -f "$t" "${t%%.*}" || not 28`
	_, err := h.exec(ctx, "sh -c "+quote(text), program.Open)
	return err
}
