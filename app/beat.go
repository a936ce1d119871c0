package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"purser/postgres"
)

// A server process beats every beatEvery; one that is silent for deadAfter is dead
// and its River jobs are taken over. River's own rescue takes an hour.
const (
	beatEvery = 5 * time.Second
	deadAfter = 20 * time.Second
)

func (a *App) beat(ctx context.Context) {
	started := a.now()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		now := a.now()
		err := a.db.Beat(ctx, postgres.Replica{ID: a.replica, Host: a.host, Addr: a.url, StartedAt: started, BeatAt: now})
		if err == nil {
			var n int
			if n, err = a.db.ReapDead(ctx, now.Add(-deadAfter)); n > 0 {
				a.log.Info("steps of dead servers taken over", slog.Int("steps", n))
			}
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("heartbeat failed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// appMetrics are what the sweeps measure.
type appMetrics struct {
	seconds   *prometheus.HistogramVec
	failed    *prometheus.CounterVec
	gap       prometheus.Gauge
	price     prometheus.Gauge
	alarms    *prometheus.CounterVec
	collected *prometheus.GaugeVec
	stray     prometheus.Gauge
}

func newAppMetrics(reg prometheus.Registerer) *appMetrics {
	m := &appMetrics{
		seconds:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "purser_sweep_seconds", Help: "Time that a sweep took.", Buckets: prometheus.ExponentialBuckets(0.005, 4, 8)}, []string{"sweep"}),
		failed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "purser_sweep_failures_total", Help: "Sweeps that failed."}, []string{"sweep"}),
		gap:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "purser_plan_gap", Help: "Proven gap of the newest plan."}),
		alarms:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "purser_price_alarms_total", Help: "Batches of prices that were not taken as they came: sudden moves, mass disappearance."}, []string{"source"}),
		collected: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "purser_source_collected_timestamp_seconds", Help: "When a source of prices was last collected without an error."}, []string{"source"}),
		stray:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "purser_price_points_stray", Help: "Price points outside of every month's partition; 0 in normal use."}),
		price:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "purser_plan_usd_per_hour", Help: "Price of what the newest plan runs at its start."}),
	}
	reg.MustRegister(m.seconds, m.failed, m.gap, m.price, m.alarms, m.collected, m.stray)
	return m
}

func (m *appMetrics) sweep(name string, took time.Duration, err error) {
	m.seconds.WithLabelValues(name).Observe(took.Seconds())
	if err != nil {
		m.failed.WithLabelValues(name).Inc()
	}
}
