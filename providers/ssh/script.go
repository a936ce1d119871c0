package ssh

import (
	"context"
	"embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/providers"
)

//go:embed scripts/*.sh
var scripts embed.FS

// values are what a script is given, as variables of the shell.
type values map[string]string

// compose writes a script as one compound command, which a shell only runs when it has read
// the whole of it, between two lines that tell its words from a login shell's.
func compose(name string, v values) (string, error) {
	var b strings.Builder
	b.WriteString("{\nexec </dev/null\n")
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if strings.ContainsAny(v[key], "\x00\n\r") {
			return "", purser.Errorf(purser.KindInvalid, "ssh.compose", "%s cannot be given to a host: it has more than one line", key)
		}
		fmt.Fprintf(&b, "%s=%s\n", key, quote(v[key]))
	}
	b.WriteString("echo purser-begin\n")
	for _, file := range []string{"lib", name} {
		text, err := scripts.ReadFile("scripts/" + file + ".sh")
		if err != nil {
			return "", purser.Wrap(purser.KindInternal, "ssh.compose", err)
		}
		b.Write(text)
	}
	b.WriteString("\necho purser-end\n}\n")
	return b.String(), nil
}

// quote makes one word of s for any POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// script runs a script on a host and gives the lines that it said.
func (p *Provider) script(ctx context.Context, h *host, name string, v values) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.CommandTimeout)
	defer cancel()
	all := values{
		"root": h.root(), "installation": p.Installation, "now": strconv.FormatInt(p.Now().Unix(), 10), "grace": seconds(p.StopGrace),
	}
	maps.Copy(all, v)
	text, err := compose(name, all)
	if err != nil {
		return nil, err
	}
	said, err := h.exec(ctx, "sh -s", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil })
	if err != nil {
		return nil, err
	}
	lines, ok := between(said)
	if !ok {
		return nil, &purser.Error{
			Kind: purser.KindUnavailable, Op: "ssh." + name, Message: "what host " + h.Name + " said was cut off",
			Hint: "if this stays so, look what a login of " + h.User + " prints there",
		}
	}
	return lines, nil
}

// between gives the lines that our script said.
func between(said string) (lines []string, whole bool) {
	begun := false
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "purser-begin":
			begun, lines = true, nil
		case line == "purser-end" && begun:
			return lines, true
		case begun:
			lines = append(lines, line)
		}
	}
	return nil, false
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// answer is what a script says of one lease.
type answer struct {
	lease  purser.LeaseID
	state  string
	asked  time.Time
	reason string
}

// The states that launch.sh has besides those of instances.
const (
	stateFull    = "full"
	stateDrained = "drained"
)

// answers reads the lines "lease ID STATE ASKED REASON", and passes over others.
func answers(lines []string) ([]answer, error) {
	var out []answer
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, "lease ")
		if !ok {
			continue
		}
		f := strings.SplitN(rest, " ", 4)
		if len(f) < 4 || !nameForm.MatchString(f[0]) {
			return nil, purser.Errorf(purser.KindUnavailable, "ssh.answers", "a host answered %.100q, which is no answer", line)
		}
		a := answer{lease: purser.LeaseID(f[0]), state: f[1], reason: strings.ToValidUTF8(f[3], "")}
		asked, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, purser.Errorf(purser.KindUnavailable, "ssh.answers", "a host answered %.100q, which has no time", line)
		}
		if asked > 0 {
			a.asked = time.Unix(asked, 0).UTC()
		}
		switch a.state {
		case stateFull, stateDrained, string(providers.Pending), string(providers.Running), string(providers.Stopping), string(providers.Gone):
		default:
			return nil, purser.Errorf(purser.KindUnavailable, "ssh.answers", "a host answered %.100q, which has no state", line)
		}
		out = append(out, a)
	}
	return out, nil
}

// instance is the answer as a machine of the host.
func (p *Provider) instance(h *host, a answer) providers.Instance {
	o := h.offer(purser.Shape{}, 0, time.Time{})
	return providers.Instance{
		ID: "ssh-" + h.Name + "-" + string(a.lease), Lease: a.lease, Installation: p.Installation, State: providers.InstanceState(a.state),
		StartedAt: a.asked, Reason: a.reason, Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType,
	}
}
