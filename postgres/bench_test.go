package postgres

import (
	"fmt"
	"testing"
	"time"

	"purser"
)

// BenchmarkReport is one agent's heartbeat with eight running tasks.
func BenchmarkReport(b *testing.B) {
	s := newScene(b)
	tasks := s.tasks(s.submit(training("a", 8)))
	lease := s.place(offer(purser.OnDemand), tasks...)
	s.run(lease)
	reports := make([]TaskReport, len(tasks))
	for i, t := range tasks {
		reports[i] = is(t.ID, purser.TaskRunning)
	}
	s.report(lease, reports...)
	for b.Loop() {
		s.report(lease, reports...)
	}
}

// BenchmarkLargeQueue takes 10,000 jobs from their submission onto 1,250 machines:
// submit, snapshot, admit and cancel are timed each.
func BenchmarkLargeQueue(b *testing.B) {
	const jobs, perMachine = 10_000, 8
	spent := map[string]time.Duration{}
	timed := func(what string, f func()) {
		began := time.Now()
		f()
		spent[what] += time.Since(began)
	}
	n := 0
	for b.Loop() {
		n++
		s := newScene(b)
		list := make([]purser.Job, jobs)
		for i := range list {
			list[i] = training(fmt.Sprint("job", i), 1)
		}
		timed("submit-s", func() { must(s.SubmitJobs(b.Context(), "user", list))(b) })
		var snap Snapshot
		timed("snapshot-s", func() { snap = must(s.Snapshot(b.Context()))(b) })
		var a purser.Admission
		for i, t := range snap.Tasks {
			if i%perMachine == 0 {
				a.Launch = append(a.Launch, s.newLease(offer(purser.OnDemand)))
			}
			a.Place = append(a.Place, put(t, a.Launch[len(a.Launch)-1].ID))
		}
		timed("admit-s", func() {
			if r := s.admit(a); r.Placed != jobs {
				b.Fatalf("%+v", r)
			}
		})
		timed("drain-s", func() { must(s.DrainAll(b.Context(), "stop", "", "bench"))(b) })
	}
	for what, d := range spent {
		b.ReportMetric(d.Seconds()/float64(n), what)
	}
}
