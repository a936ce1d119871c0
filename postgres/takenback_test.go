package postgres

import (
	"strings"
	"testing"

	"purser"
)

// A machine that was taken back counts once, however its lease ended and whoever told;
// one that was let go does not.
func TestSpotRunsCountWhatWasTakenBack(t *testing.T) {
	s := newScene(t)
	reasons := map[string]struct {
		drain     string // empty: it fails without draining
		end       purser.LeaseState
		why       string
		preempted bool
	}{
		"told, then released": {purser.TakenBack("the cloud says so"), purser.LeaseReleased, "", true},
		"told, then lost":     {purser.TakenBack(""), purser.LeaseFailed, "", true},
		"found gone":          {"", purser.LeaseFailed, "its machine is gone", true},
		"its work has ended":  {"its work has ended", purser.LeaseReleased, "", false},
	}
	zones := map[string]string{}
	for name, c := range reasons {
		o := offer(purser.Spot)
		o.Zone = strings.ReplaceAll(name, " ", "-")
		zones[o.Zone] = name
		l := s.newLease(o)
		l.Rehearsal = false
		task := s.tasks(s.submit(training(o.Zone[:4]+o.Zone[len(o.Zone)-4:], 1)))[0]
		s.admit(purser.Admission{Launch: []purser.Lease{l}, Place: []purser.TaskPlacement{put(task, l.ID)}})
		s.run(l.ID)
		s.report(l.ID, is(task.ID, purser.TaskRunning))
		if c.drain != "" {
			s.advance(l.ID, purser.Transition{To: purser.LeaseDraining, Reason: c.drain})
			again := must(s.Advance(t.Context(), l.ID, "fleet", func(purser.Lease) (purser.Transition, error) { return purser.Transition{}, nil }))(t)
			if again.Reason != c.drain {
				t.Errorf("%s: %q", name, again.Reason)
			}
		}
		s.advance(l.ID, purser.Transition{To: c.end, Reason: c.why})
		if n := len(s.tasks(task.Job)); n != 2 {
			t.Errorf("%s: %d tasks; a successor is wanted", name, n)
		}
	}
	runs := must(s.SpotRuns(t.Context(), start))(t)
	if len(runs) != len(reasons) {
		t.Fatalf("%d runs of %d machines: %+v", len(runs), len(reasons), runs)
	}
	for _, r := range runs {
		if name := zones[r.Zone]; r.Preempted != reasons[name].preempted || r.To.IsZero() {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A plan is told what came to nothing while it is still being cleaned up, so that the
// next one goes elsewhere at once, and what was taken back.
func TestSnapshotTellsSetbacksAtOnce(t *testing.T) {
	s := newScene(t)
	place := func(name string) purser.LeaseID {
		return s.place(offer(purser.Spot), s.tasks(s.submit(training(name, 1)))[0])
	}
	mute, unwanted, back, early := place("mute"), place("unwanted"), place("back"), place("early")
	for _, id := range []purser.LeaseID{mute, unwanted, early} {
		s.advance(id, purser.Transition{To: purser.LeaseLaunching, Attempt: 1})
	}
	s.run(back)
	s.advance(mute, purser.Transition{To: purser.LeaseDraining, Reason: "unavailable: its machine did not join within 5m0s"})
	s.advance(unwanted, purser.Transition{To: purser.LeaseDraining, Reason: "its work ended before its machine came"})
	s.advance(back, purser.Transition{To: purser.LeaseDraining, Reason: purser.TakenBack("now")})
	s.advance(early, purser.Transition{To: purser.LeaseDraining, Reason: purser.TakenBack("too soon")})
	check := func(when string) {
		t.Helper()
		got := map[purser.LeaseID]FailedOffer{}
		for _, f := range must(s.Snapshot(t.Context()))(t).Failed {
			got[f.Lease] = f
		}
		if len(got) != 3 || got[mute].Kind != purser.KindUnavailable || got[mute].Ran || got[mute].At.IsZero() ||
			got[early].Kind != purser.KindUnavailable || got[early].Ran || !got[back].Ran || got[back].Reason != "its machine is being taken back: now" {
			t.Errorf("%s: %+v", when, got)
		}
	}
	check("while they drain")
	for _, id := range []purser.LeaseID{mute, unwanted, early} {
		s.advance(id, purser.Transition{To: purser.LeaseFailed})
	}
	s.advance(back, purser.Transition{To: purser.LeaseReleased})
	check("when they have ended")
	s.clock.pass(2 * failedFor)
	if f := must(s.Snapshot(t.Context()))(t).Failed; len(f) != 0 {
		t.Errorf("two hours later: %+v", f)
	}
}

// The index that finds them is made for the reason as it is written.
func TestTakenBackIsIndexed(t *testing.T) {
	db, _ := fresh(t)
	var def string
	if err := db.Pool().QueryRow(t.Context(), "select indexdef from pg_indexes where indexname = 'leases_taken_back'").Scan(&def); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(def, "'"+purser.ReasonTakenBack+"%'") {
		t.Errorf("the index is over another reason: %s", def)
	}
}
