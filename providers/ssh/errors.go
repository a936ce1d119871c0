package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"purser"
)

// commandError is how a command ended that did not end well.
type commandError struct {
	err  error  // *ssh.ExitError, or how the connection was lost
	said string // on its standard error
}

func (e *commandError) Error() string {
	if why := e.complaint(); why != "" {
		return e.err.Error() + ": " + why
	}
	return e.err.Error()
}

func (e *commandError) Unwrap() error { return e.err }

// complaint is the scripts' own sentence, else the last line.
func (e *commandError) complaint() string {
	last := ""
	for line := range strings.Lines(e.said) {
		line = strings.TrimSpace(line)
		if own, ok := strings.CutPrefix(line, "purser: "); ok {
			return own
		}
		if line != "" {
			last = line
		}
	}
	return fmt.Sprintf("%.300s", last)
}

// verdict is what an exit code of our scripts means.
type verdict struct {
	kind       purser.Kind
	hint       string
	retryAfter time.Duration
}

// The exit codes of the scripts, those of sysexits.h where one fits.
const (
	exitDiskFull   = 28
	exitConflict   = 65
	exitProgram    = 74
	exitForbidden  = 73
	exitBusy       = 75
	exitUnfit      = 78
	exitNoExec     = 126
	exitNoCommand  = 127
	diskRetryAfter = 5 * time.Minute
)

var verdicts = map[int]verdict{
	exitDiskFull:  {purser.KindNoCapacity, "free room on its disk", diskRetryAfter},
	exitConflict:  {purser.KindConflict, "", 0},
	exitProgram:   {purser.KindInvalid, "the file of the agent's program and its checksum do not belong together; build them anew", 0},
	exitForbidden: {purser.KindForbidden, "give the account a folder of its own that it may write, or set root", 0},
	exitBusy:      {purser.KindUnavailable, "", time.Second},
	exitUnfit:     {purser.KindInvalid, "install util-linux and coreutils there; agents exist for Linux on amd64 and arm64", 0},
	exitNoExec:    {purser.KindInvalid, "the account's login shell must be able to run sh", 0},
	exitNoCommand: {purser.KindInvalid, "the account's login shell must be able to run sh", 0},
}

// failure gives an error of a host its kind. The host is named in each.
func (h *host) failure(op string, err error) error {
	if e, ok := errors.AsType[*purser.Error](err); ok {
		return e
	}
	out := &purser.Error{Kind: purser.KindUnavailable, Op: op, Cause: err}
	var (
		exit   *ssh.ExitError
		said   *commandError
		none   *ssh.AlgorithmNegotiationError
		closed *ssh.OpenChannelError
	)
	switch {
	case errors.As(err, &exit):
		v, ours := verdicts[exit.ExitStatus()]
		if !ours {
			v = verdict{kind: purser.KindUnavailable} // killed, or cut off: the call may have taken effect
		}
		out.Kind, out.Hint, out.RetryAfter = v.kind, v.hint, v.retryAfter
		why := ""
		if errors.As(err, &said) {
			why = said.complaint()
		}
		out.Message = fmt.Sprintf("host %s: %s", h.Name, orElse(why, fmt.Sprintf("its command ended with code %d", exit.ExitStatus())))
	case errors.As(err, &closed):
		out.Kind, out.RetryAfter = purser.KindThrottled, time.Second
		out.Message, out.Hint = "host "+h.Name+" opens no more sessions", "raise MaxSessions in its sshd_config above max_sessions of the pool"
	case errors.As(err, &none) && none.What != hostKeyNegotiation:
		out.Kind, out.Message = purser.KindInvalid, "host "+h.Name+" speaks no "+none.What+" that is safe"
		out.Hint = "it offers " + strings.Join(none.RequestedAlgorithms, ", ") + "; bring its sshd up to date"
	case errors.As(err, &none):
		out.Kind, out.Message = purser.KindForbidden, "host "+h.Name+" has no key of the type that is pinned, and was not talked to"
		out.Hint = "it offers " + strings.Join(none.RequestedAlgorithms, ", ")
	case refusedIdentity(err):
		out.Kind, out.Message = purser.KindUnauthorized, "host "+h.Name+" does not let "+h.User+" in"
		out.Hint = "put the pool's public key into authorized_keys of " + h.User + " there"
	case errors.Is(err, context.DeadlineExceeded):
		out.Message = "host " + h.Name + " did not answer in time"
	case errors.Is(err, context.Canceled):
		out.Message = "the call to host " + h.Name + " was cut off"
	case errors.Is(err, io.EOF):
		out.Message = "host " + h.Name + " hung up"
	default:
		out.Message = "host " + h.Name + " cannot be reached"
	}
	return out
}

// hostKeyNegotiation is what the library calls the choice of a host key's type.
const hostKeyNegotiation = "host key"

// refusedIdentity knows the library's error of a failed authentication, which has no type.
func refusedIdentity(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "unable to authenticate") || strings.Contains(text, "too many authentication failures")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
