package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"

	"purser"
	"purser/providers"
)

// Faults spoils the calls that an adapter makes to its cloud, by a seeded random
// source. An adapter's test puts it between the SDK and the test's cloud: as an
// http.RoundTripper (RoundTripper), or around any other kind of call (Around).
//
//	lost before   the call fails and never reaches the cloud
//	lost after    the cloud carries it out, and the answer is lost
//	repeated      the cloud gets it twice, and the second answer counts
//	killed        from this call on every call of this adapter object fails, as after
//	              kill -9: before it reaches the cloud, or after
//
// The zero value lets everything through.
type Faults struct {
	mu     sync.Mutex
	rng    *rand.Rand
	rate   float64 // share of calls that are spoilt
	killIn int     // calls until the kill; 0: none is due
	dead   bool
	calls  int
}

// errLost is what a caller sees of a call that was lost.
var errLost = errors.New("providertest: connection reset by peer")

// Calls is how many calls were made.
func (f *Faults) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Dead says whether the kill has come.
func (f *Faults) Dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

type fault int

const (
	faultNone fault = iota
	faultBefore
	faultAfter
	faultTwice
)

func (f *Faults) next() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.dead {
		return faultBefore
	}
	if f.rng == nil {
		return faultNone
	}
	if f.killIn > 0 {
		if f.killIn--; f.killIn == 0 {
			f.dead = true
			return []fault{faultBefore, faultAfter}[f.rng.IntN(2)]
		}
	}
	if f.rng.Float64() >= f.rate {
		return faultNone
	}
	return []fault{faultBefore, faultAfter, faultTwice}[f.rng.IntN(3)]
}

// Around makes a call, or spoils it. do may be run twice.
func (f *Faults) Around(do func() error) error {
	switch f.next() {
	case faultBefore:
		return errLost
	case faultAfter:
		_ = do() // carried out; nobody hears of it
		return errLost
	case faultTwice:
		_ = do() // the first answer is the one that was lost
		return do()
	default:
		return do()
	}
}

// RoundTripper puts the faults before base, which defaults to a transport of its own.
func (f *Faults) RoundTripper(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return roundTripper{f, base}
}

type roundTripper struct {
	faults *Faults
	base   http.RoundTripper
}

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close() // read whole
	}
	var res *http.Response
	err := r.faults.Around(func() (err error) {
		if res != nil {
			_ = res.Body.Close() // of the answer that does not count
		}
		// A call that was sent reaches the cloud whatever becomes of its caller.
		again := req.Clone(context.WithoutCancel(req.Context()))
		if body != nil {
			again.Body = io.NopCloser(bytes.NewReader(body))
			again.ContentLength = int64(len(body))
		}
		res, err = r.base.RoundTrip(again) //nolint:bodyclose // closed above, or by whoever asked
		return err
	})
	if err != nil {
		if res != nil {
			_ = res.Body.Close() // nobody reads it
		}
		return nil, err
	}
	return res, nil
}

// arm gives the faults a random source: a share of calls is spoilt, and with killIn
// above 0 the adapter is killed at that call.
func (f *Faults) arm(rng *rand.Rand, rate float64, killIn int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rng, f.rate, f.killIn = rng, rate, killIn
}

// String says what the faults did so far.
func (f *Faults) String() string { return fmt.Sprintf("%d calls, dead: %v", f.Calls(), f.Dead()) }

// Provider spoils whole calls of a provider that has no wire of its own.
func (f *Faults) Provider(p providers.Provider) providers.Provider { return faulty{p, f} }

type faulty struct {
	providers.Provider
	faults *Faults
}

func (p faulty) around(call string, do func() error) error {
	err := p.faults.Around(do)
	if errors.Is(err, errLost) {
		return purser.Wrap(purser.KindUnavailable, "providertest."+call, err)
	}
	return err
}

func (p faulty) Launch(ctx context.Context, r providers.Request) (out providers.Instance, err error) {
	err = p.around("Launch", func() (err error) { out, err = p.Provider.Launch(ctx, r); return err })
	return out, err
}

func (p faulty) Describe(ctx context.Context, l purser.Lease) (out providers.Instance, err error) {
	err = p.around("Describe", func() (err error) { out, err = p.Provider.Describe(ctx, l); return err })
	return out, err
}

func (p faulty) List(ctx context.Context) (out []providers.Instance, err error) {
	err = p.around("List", func() (err error) { out, err = p.Provider.List(ctx); return err })
	return out, err
}

func (p faulty) Terminate(ctx context.Context, l purser.Lease) error {
	return p.around("Terminate", func() error { return p.Provider.Terminate(ctx, l) })
}
