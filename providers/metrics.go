package providers

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"purser"
)

// Metrics counts and times the calls to providers:
//
//	purser_provider_calls_total{provider,call,kind}   kind is "ok" or the kind of error
//	purser_provider_call_seconds{provider,call}       a histogram
type Metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// NewMetrics registers the metrics; one Metrics serves all providers. It is an
// error to register them twice.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "purser_provider_calls_total", Help: "Calls to machine providers by outcome.",
		}, []string{"provider", "call", "kind"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "purser_provider_call_seconds", Help: "How long calls to machine providers took.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2, 5, 10, 30, 60},
		}, []string{"provider", "call"}),
	}
	for _, c := range []prometheus.Collector{m.calls, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, purser.Wrap(purser.KindInternal, "providers.NewMetrics", err)
		}
	}
	return m, nil
}

// Wrap measures a provider.
func (m *Metrics) Wrap(p Provider, now func() time.Time) Provider {
	return &wrapped{inner: p, around: func(ctx context.Context, call string, do func(context.Context) error) error {
		begun := now()
		err := do(ctx)
		kind := "ok"
		if err != nil {
			kind = string(purser.KindOf(err))
		}
		m.calls.WithLabelValues(p.Name(), call, kind).Inc()
		m.seconds.WithLabelValues(p.Name(), call).Observe(now().Sub(begun).Seconds())
		return err
	}}
}
