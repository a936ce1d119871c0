package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"purser"
)

// maxOutput bounds what one command may say: 64 KiB are some thousand leases.
const maxOutput = 1 << 20

// host is a host with its connection.
type host struct {
	Host
	config *Config
	pins   pins
	turns  chan struct{} // one token for each command under way

	dialing chan struct{} // one token: whoever holds it may connect
	mu      sync.Mutex
	link    *link
	failed  error // of the last attempt to connect, for RetryDial
	until   time.Time
	closed  bool
	upload  *upload // under way
}

// link is one connection.
type link struct {
	client *ssh.Client
	used   atomic.Int64 // commands under way
	last   atomic.Int64 // when one last ended, in ns since 1970
	over   chan struct{}
}

func newHost(h Host, c *Config) (*host, error) {
	p, err := parsePins(h.HostKeys)
	if err != nil {
		return nil, err
	}
	return &host{Host: h, config: c, pins: p, turns: make(chan struct{}, c.MaxSessions), dialing: make(chan struct{}, 1)}, nil
}

// close ends the connection; no other is made.
func (h *host) close() {
	h.mu.Lock()
	l := h.link
	h.link, h.closed = nil, true
	h.mu.Unlock()
	if l != nil {
		_ = l.client.Close()
		<-l.over
	}
}

// known gives the connection, or why there is none for now.
func (h *host) known() (*link, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, purser.Errorf(purser.KindUnavailable, "ssh.dial", "the SSH pool has been closed")
	case h.link != nil:
		select {
		case <-h.link.over:
			h.link = nil
		default:
			return h.link, nil
		}
	}
	if h.failed != nil && time.Now().Before(h.until) {
		return nil, h.failed
	}
	return nil, nil //nolint:nilnil // neither: one is to be made
}

// connect gives the connection, and makes it where there is none.
func (h *host) connect(ctx context.Context) (l *link, fresh bool, err error) {
	if l, err := h.known(); l != nil || err != nil {
		return l, false, err
	}
	select {
	case h.dialing <- struct{}{}:
		defer func() { <-h.dialing }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if l, err := h.known(); l != nil || err != nil {
		return l, false, err // somebody else was faster
	}
	client, err := h.dial(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			h.failed, h.until = err, time.Now().Add(h.config.RetryDial)
		}
		return nil, false, err
	}
	h.failed = nil
	l = &link{client: client, over: make(chan struct{})}
	l.last.Store(time.Now().UnixNano())
	go l.attend(h.config)
	if h.closed {
		_ = client.Close()
		return nil, false, purser.Errorf(purser.KindUnavailable, "ssh.dial", "the SSH pool has been closed")
	}
	h.link = l
	return l, true, nil
}

// dial connects and shakes hands. Where a pinned key may be of any type, each is asked for.
func (h *host) dial(ctx context.Context) (*ssh.Client, error) {
	var refused error
	for _, algorithms := range h.pins.families() {
		client, err := h.handshake(ctx, algorithms)
		var none *ssh.AlgorithmNegotiationError
		switch {
		case err == nil:
			return client, nil
		case errors.As(err, &none) && none.What == hostKeyNegotiation:
			if refused == nil { // a key that is shown says more than one that is not
				refused = err
			}
		case purser.KindOf(err) == purser.KindForbidden:
			refused = err
		default:
			return nil, h.failure("ssh.dial", err)
		}
	}
	return nil, h.failure("ssh.dial", refused)
}

func (h *host) handshake(ctx context.Context, algorithms []string) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.DialTimeout)
	defer cancel()
	methods, done, err := h.config.identity()
	defer done()
	if err != nil {
		return nil, err
	}
	conn, err := h.config.Dial(ctx, "tcp", h.address())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, closer(conn))
	c, channels, requests, err := ssh.NewClientConn(conn, h.address(), &ssh.ClientConfig{
		User: h.User, Auth: methods, HostKeyCallback: h.pins.check(h.Name), HostKeyAlgorithms: algorithms, ClientVersion: "SSH-2.0-Purser",
	})
	if !stop() && err == nil {
		_ = c.Close()
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// attend keeps a connection alive, notices when it is dead, and closes one that nobody uses.
func (l *link) attend(c *Config) {
	ended := make(chan struct{})
	go func() {
		_ = l.client.Wait() // why it ended is told by the command that it cut off
		close(ended)
	}()
	defer close(l.over)
	defer func() { <-ended }()
	tick := time.NewTicker(min(c.KeepAlive, c.IdleTime))
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		idle := time.Since(time.Unix(0, l.last.Load())) >= c.IdleTime
		if l.used.Load() == 0 && idle {
			_ = l.client.Close()
			return
		}
		late := time.AfterFunc(c.KeepAlive, closer(l.client))
		_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil) // any answer will do
		late.Stop()
		if err != nil {
			_ = l.client.Close()
			return
		}
	}
}

// output keeps the first bytes that a command says and drops the rest.
type output struct{ bytes.Buffer }

func (o *output) Write(p []byte) (int, error) {
	if room := maxOutput - o.Len(); room > 0 {
		_, _ = o.Buffer.Write(p[:min(room, len(p))]) // a buffer never fails
	}
	return len(p), nil
}

// exec runs one command with an input, and gives what it said. When ctx ends it returns, and
// the command may go on.
func (h *host) exec(ctx context.Context, command string, input func() (io.ReadCloser, error)) (said string, err error) {
	err = h.config.around(func() (err error) {
		in, err := input()
		if err != nil {
			return err
		}
		defer closer(in)()
		said, err = h.once(ctx, command, in)
		return err
	})
	if err != nil {
		return "", h.failure("ssh.exec", err)
	}
	return said, nil
}

func (h *host) once(ctx context.Context, command string, in io.Reader) (string, error) {
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	l, s, err := h.session(ctx)
	if err != nil {
		return "", err
	}
	l.used.Add(1)
	defer func() {
		l.last.Store(time.Now().UnixNano())
		l.used.Add(-1)
	}()
	var out, complaint output
	s.Stdin, s.Stdout, s.Stderr = in, &out, &complaint
	ended := make(chan error, 1)
	go func() { ended <- s.Run(command) }()
	select {
	case err = <-ended:
		_ = s.Close() // it has ended already
	case <-ctx.Done():
		_ = s.Close() // whoever reads in has its end with the channel
		return "", ctx.Err()
	}
	if err != nil {
		return "", &commandError{err: err, said: complaint.String()}
	}
	return out.String(), nil
}

// session opens a session. A connection that turns out to be dead before anything was asked is
// made anew, once.
func (h *host) session(ctx context.Context) (*link, *ssh.Session, error) {
	for {
		l, fresh, err := h.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		type opened struct {
			s   *ssh.Session
			err error
		}
		got := make(chan opened, 1)
		go func() {
			s, err := l.client.NewSession()
			got <- opened{s, err}
		}()
		select {
		case o := <-got:
			var no *ssh.OpenChannelError
			if o.err == nil || fresh || errors.As(o.err, &no) {
				return l, o.s, o.err
			}
			_ = l.client.Close()
			select {
			case <-l.over:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		case <-ctx.Done():
			go func() {
				if o := <-got; o.err == nil {
					_ = o.s.Close() // nobody wants it any more
				}
			}()
			return nil, nil, ctx.Err()
		}
	}
}
