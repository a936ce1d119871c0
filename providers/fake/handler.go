package fake

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"purser"
	"purser/providers"
)

// maxRequest and maxAnswer bound a body, in bytes.
const (
	maxRequest = 8 << 20
	maxAnswer  = 64 << 20
)

// maxWait is how long a call for notices waits at most.
const maxWait = 20 * time.Second

// Handler serves a cloud over HTTP, for Client. It asks nobody who they are: whoever can
// reach it may do everything, so it belongs on loopback. Other pages in a browser cannot
// call it, for they cannot send JSON without asking first.
func Handler(c *Cloud) http.Handler {
	mux := http.NewServeMux()
	serve(mux, Launch, func(ctx context.Context, ask wireRequest) (wireInstance, error) {
		in, err := c.Provider(ask.Installation).Launch(ctx, providers.Request(ask))
		return wireInstance(in), err
	})
	serve(mux, Describe, func(ctx context.Context, ask asksLease) (wireInstance, error) {
		in, err := c.Provider(ask.Installation).Describe(ctx, ask.Lease)
		return wireInstance(in), err
	})
	serve(mux, List, func(ctx context.Context, ask asksInstallation) (out hasInstances, err error) {
		all, err := c.Provider(ask.Installation).List(ctx)
		for _, in := range all {
			out.Instances = append(out.Instances, wireInstance(in))
		}
		return out, err
	})
	serve(mux, Terminate, func(ctx context.Context, ask asksLease) (nothing, error) {
		return nothing{}, c.Provider(ask.Installation).Terminate(ctx, ask.Lease)
	})
	serve(mux, Quotas, func(ctx context.Context, ask asksInstallation) (hasQuotas, error) {
		h, err := c.Provider(ask.Installation).Quotas(ctx)
		return headroomOnWire(h), err
	})
	serve(mux, Sweep, func(ctx context.Context, ask asksSweep) (hasRemoved, error) {
		n, err := c.Provider(ask.Installation).Sweep(ctx, seconds(ask.GraceSeconds))
		return hasRemoved{n}, err
	})
	serve(mux, Offers, func(ctx context.Context, ask asksInstallation) (hasOffers, error) {
		offers, err := c.Provider(ask.Installation).Offers(ctx)
		return hasOffers{offers}, err
	})
	serve(mux, wireNotices, func(ctx context.Context, ask asksNotices) (hasNotices, error) {
		found, err := c.await(ctx, ask.Installation, min(seconds(ask.WaitSeconds), maxWait))
		return hasNotices{found}, err
	})
	serve(mux, wireAcknowledge, func(_ context.Context, ask asksAcknowledge) (nothing, error) {
		return nothing{}, c.acknowledge(ask.Installation, ask.Number)
	})
	serve(mux, wireMachines, func(context.Context, nothing) (out hasMachines, _ error) {
		for _, m := range c.Machines() {
			out.Machines = append(out.Machines, wireMachine{wireInstance(m.Instance), m.Offer, m.NoticeAt, m.EndedAt, m.GoneAt})
		}
		return out, nil
	})
	serve(mux, wireTurn, func(_ context.Context, k Knobs) (nothing, error) { return nothing{}, c.Turn(k) })
	return mux
}

// seconds is a time that stands on the wire; one that cannot be is none.
func seconds(s float64) time.Duration {
	if !(s >= 0 && s <= maxSeconds) {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// serve answers one call. Every failure has the contract's kind.
func serve[Ask, Answer any](mux *http.ServeMux, name string, do func(context.Context, Ask) (Answer, error)) {
	mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
		var ask Ask
		answer, err := any(nil), read(r, &ask)
		if err == nil {
			answer, err = do(r.Context(), ask)
		}
		if errors.Is(err, errLost) {
			panic(http.ErrAbortHandler) // breaks the connection; nothing else leaves the caller without any answer
		}
		status := http.StatusOK
		if err != nil {
			f := failedOf(err)
			status, answer = purser.HTTPStatus(f.Kind), map[string]Failed{"error": f}
			if f.RetryAfterSeconds > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfterSeconds))))
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // a caller that is gone asks again
	})
}

func read(r *http.Request, ask any) error {
	const op = "fake.Handler"
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return purser.Errorf(purser.KindInvalid, op, "the body must be application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(ask); err != nil {
		return purser.Errorf(purser.KindInvalid, op, "the body cannot be understood: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return purser.Errorf(purser.KindInvalid, op, "the body is more than one JSON object")
	}
	return nil
}

func failedOf(err error) Failed {
	if e, ok := errors.AsType[*purser.Error](err); ok {
		return Failed{Kind: e.Kind, Message: e.Message, Hint: e.Hint, RetryAfterSeconds: e.RetryAfter.Seconds()}
	}
	return Failed{Kind: purser.KindInternal, Message: err.Error()}
}
