package ssh

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"purser"
)

// pins are the keys that a host may show, by fingerprint.
type pins struct {
	fingerprints map[string]bool
	types        []string // of those given whole; empty as soon as one is a fingerprint alone
}

func parsePins(lines []string) (pins, error) {
	p := pins{fingerprints: map[string]bool{}}
	bare := false
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if sum, ok := strings.CutPrefix(line, "SHA256:"); ok {
			if b, err := base64.RawStdEncoding.DecodeString(sum); err != nil || len(b) != 32 {
				return p, fmt.Errorf("%q is no fingerprint of a host key", line)
			}
			p.fingerprints[line], bare = true, true
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return p, fmt.Errorf("%.60q is no host key: %w", line, err)
		}
		p.fingerprints[ssh.FingerprintSHA256(key)] = true
		p.types = append(p.types, key.Type())
	}
	if bare {
		p.types = nil
	}
	if len(p.fingerprints) == 0 {
		return p, errors.New("its host key must be pinned; ssh-keyscan ADDRESS | ssh-keygen -lf - shows what it is, to be compared on the host itself")
	}
	return p, nil
}

// families are the algorithms to ask for, one attempt each. A host has a key of each type and
// shows one; which of them a fingerprint is of cannot be seen.
func (p pins) families() [][]string {
	all := [][]string{
		{ssh.KeyAlgoED25519},
		{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
		{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	}
	if len(p.types) == 0 {
		return all
	}
	var out []string
	for _, t := range p.types {
		if t == ssh.KeyAlgoRSA {
			out = append(out, all[2]...)
		} else {
			out = append(out, t)
		}
	}
	return [][]string{slices.Compact(slices.Sorted(slices.Values(out)))}
}

// check is the host key callback: a key is pinned or refused.
func (p pins) check(host string) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		seen := ssh.FingerprintSHA256(key)
		if p.fingerprints[seen] {
			return nil
		}
		return &purser.Error{
			Kind: purser.KindForbidden, Op: "ssh.dial", Message: "host " + host + " shows a key that is not pinned, and was not talked to",
			Hint: "it shows " + key.Type() + " " + seen + "; find out on the host itself whether that is its key (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), and only then pin it",
		}
	}
}

// identity gives the ways to prove who we are, and what to close afterwards.
func (c Config) identity() (methods []ssh.AuthMethod, done func(), err error) {
	done = func() {}
	fail := func(message string, cause error) error {
		return &purser.Error{Kind: purser.KindUnauthorized, Op: "ssh.dial", Message: message, Hint: "see key_file and agent_socket of the SSH pool", Cause: cause}
	}
	var own []ssh.Signer
	if c.KeyFile != "" {
		pem, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return nil, done, fail("the key file of the SSH pool cannot be read", err)
		}
		parse := ssh.ParsePrivateKey
		if c.KeyPassphrase != "" {
			parse = func(pem []byte) (ssh.Signer, error) {
				return ssh.ParsePrivateKeyWithPassphrase(pem, []byte(c.KeyPassphrase))
			}
		}
		signer, err := parse(pem)
		if err != nil {
			return nil, done, fail("the key file of the SSH pool holds no key that can be used", err)
		}
		own = append(own, signer)
	}
	signers := func() ([]ssh.Signer, error) { return own, nil }
	if c.AgentSocket != "" {
		conn, err := net.DialTimeout("unix", c.AgentSocket, c.DialTimeout) //nolint:noctx // a local socket with a limit of its own
		if err != nil && len(own) == 0 {
			return nil, done, fail("the ssh-agent does not answer", err)
		}
		if err == nil { // else it ended with the session that it was for, and the key file may do
			_ = conn.SetDeadline(time.Now().Add(c.DialTimeout)) // the handshake is over by then
			done = closer(conn)
			signers = func() ([]ssh.Signer, error) {
				held, err := agent.NewClient(conn).Signers()
				if err != nil && len(own) == 0 {
					return nil, fmt.Errorf("the ssh-agent gives no keys: %w", err)
				}
				return append(slices.Clone(own), held...), nil
			}
		}
	}
	return []ssh.AuthMethod{ssh.PublicKeysCallback(signers)}, done, nil
}

func closer(c io.Closer) func() { return func() { _ = c.Close() } }
