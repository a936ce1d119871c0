package aws_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/aws"
	"purser/providers/aws/awstest"
)

// event is an event as EventBridge writes it to a queue.
func event(kind, region string, at time.Time, detail string) string {
	return fmt.Sprintf(`{"version":"0","id":"1","detail-type":%q,"source":"aws.ec2","account":"123456789012","time":%q,"region":%q,"resources":[],"detail":{%s}}`,
		kind, at.Format(time.RFC3339), region, detail)
}

// listener runs Interruptions and keeps what is delivered.
type listener struct {
	mu   sync.Mutex
	got  []providers.Interruption
	fail int // deliveries that are refused first
}

func (l *listener) deliver(_ context.Context, n providers.Interruption) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return errors.New("not now")
	}
	l.got = append(l.got, n)
	return nil
}

func (l *listener) notices() []providers.Interruption {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]providers.Interruption(nil), l.got...)
}

// until listens until a condition holds, and fails the test if it does not in 10 s.
func (l *listener) until(t *testing.T, p *aws.Provider, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Interruptions(ctx, l.deliver) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("what was waited for did not come; delivered: %+v", l.notices())
		case err := <-done:
			t.Fatalf("Interruptions ended: %v", err)
		case <-tick.C:
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("an ended context gave %v", err)
	}
}

func deleted(w *world, m *awstest.Message) bool {
	gone, _ := w.Deleted(m)
	return gone
}

func times(w *world, m *awstest.Message) int {
	_, n := w.Deleted(m)
	return n
}

// listening is a world with a queue and a machine of ours and one of others.
func listening(t *testing.T, own bool) (w *world, p *aws.Provider, ours, theirs string) {
	w = fresh(t)
	p = w.provider(t, func(c *aws.Config) {
		c.Queues = []aws.Queue{{URL: awsURL(w) + "/123456789012/purser", Region: "us-east-1", Own: own}}
	})
	ours = launch(t, p, request("lease-a", spot)).ID
	theirs = w.Add("us-east-1", awstest.Machine{
		Type: "g5.xlarge", Zone: "use1-az1", Made: w.clock.now(), Tags: map[string]string{"purser-lease": "lease-x", "purser-installation": "other"},
	}).ID
	return w, p, ours, theirs
}

func awsURL(w *world) string { return *w.Config(nil).BaseEndpoint }

// TestNotices reads every kind of event.
func TestNotices(t *testing.T) {
	w, p, ours, _ := listening(t, false)
	now := w.clock.now()
	id := fmt.Sprintf(`"instance-id":%q`, ours)
	health := func(status string) string {
		return event("AWS Health Event", "us-east-1", now, fmt.Sprintf(
			`"service":"EC2","eventTypeCode":"AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED","eventTypeCategory":"scheduledChange","statusCode":%q,"startTime":"Thu, 05 Mar 2026 06:00:00 GMT","affectedEntities":[{"entityValue":%q}]`, status, ours))
	}
	var sent []*awstest.Message
	for _, body := range []string{
		event("EC2 Spot Instance Interruption Warning", "us-east-1", now, id+`,"instance-action":"terminate"`),
		event("EC2 Instance Rebalance Recommendation", "us-east-1", now, id),
		event("EC2 Capacity Reservation Instance Interruption Warning", "us-east-1", now, id+`,"instance-action":"terminate"`),
		event("EC2 Instance State-change Notification", "us-east-1", now, id+`,"state":"shutting-down"`),
		event("EC2 Instance State-change Notification", "us-east-1", now, id+`,"state":"running"`),
		health("upcoming"), health("closed"), strings.Replace(health("upcoming"), " 05 Mar", " 5 Mar", 1),
	} {
		sent = append(sent, w.Send(body))
	}
	l := &listener{}
	l.until(t, p, func() bool {
		for _, m := range sent {
			if !deleted(w, m) {
				return false
			}
		}
		return true
	})
	got := map[providers.InterruptionKind][]time.Time{}
	for _, n := range l.notices() {
		if n.Lease != "lease-a" || n.Instance != ours || n.Reason == "" {
			t.Errorf("delivered %+v", n)
		}
		got[n.Kind] = append(got[n.Kind], n.At)
	}
	warned := now.Add(2 * time.Minute)
	if len(l.notices()) != 6 || len(got[providers.Preempted]) != 2 || !got[providers.Preempted][0].Equal(warned) || !got[providers.Rebalance][0].IsZero() ||
		!got[providers.Ended][0].Equal(now) || !got[providers.Retired][0].Equal(time.Date(2026, 3, 5, 6, 0, 0, 0, time.UTC)) || !got[providers.Retired][1].Equal(got[providers.Retired][0]) {
		t.Errorf("delivered %+v", l.notices())
	}
}

// TestNoticesOfOthers stay in a queue that others read, and go from one of our own.
func TestNoticesOfOthers(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprint("own ", own), func(t *testing.T) {
			w, p, ours, theirs := listening(t, own)
			warning := func(region, id string) *awstest.Message {
				return w.Send(event("EC2 Spot Instance Interruption Warning", region, w.clock.now(), fmt.Sprintf(`"instance-id":%q,"instance-action":"terminate"`, id)))
			}
			others := []*awstest.Message{warning("us-east-1", theirs), warning("eu-west-1", "i-abroad"), w.Send("no event")}
			unknown := warning("us-east-1", "i-unknown") // may be ours and not be seen yet
			mine := warning("us-east-1", ours)
			l := &listener{}
			l.until(t, p, func() bool { return deleted(w, mine) && times(w, unknown) > 0 })
			for i, m := range others {
				if gone := deleted(w, m); gone != own {
					t.Errorf("message %d of others: deleted %v", i, gone)
				}
			}
			if got := l.notices(); len(got) != 1 || got[0].Instance != ours || deleted(w, unknown) {
				t.Errorf("delivered %+v; the unknown one is deleted: %v", got, deleted(w, unknown))
			}
		})
	}
}

// TestNoticesComeAgain until they were taken: a refused delivery, and a lost deletion.
func TestNoticesComeAgain(t *testing.T) {
	w, p, ours, _ := listening(t, false)
	m := w.Send(event("EC2 Spot Instance Interruption Warning", "us-east-1", w.clock.now(), fmt.Sprintf(`"instance-id":%q`, ours)))
	l := &listener{fail: 1}
	l.until(t, p, func() bool { return times(w, m) == 1 && l.fails() == 0 })
	if deleted(w, m) || len(l.notices()) != 0 {
		t.Fatalf("a notice that was not taken was deleted")
	}
	looks := 0
	l.until(t, p, func() bool {
		// The poll that was just cut off may hide the message once more, as in SQS.
		if looks++; looks%50 == 1 {
			w.clock.pass(time.Minute)
		}
		return deleted(w, m)
	})
	if len(l.notices()) == 0 {
		t.Error("a notice was deleted that was never taken")
	}
}

func (l *listener) fails() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fail
}

// TestListeningGoesOn past failures with growing pauses, and ends with what cannot mend.
func TestListeningGoesOn(t *testing.T) {
	w := fresh(t)
	var pauses []time.Duration
	passing := []string{"KmsThrottled", "KMS.ThrottlingException", "ReceiptHandleIsInvalid"}
	w.Fault = func(action, _ string) (int, string, string) {
		if len(passing) == 0 {
			return 403, "AccessDenied", ""
		}
		next := passing[0]
		passing = passing[1:]
		return 400, next, ""
	}
	p := w.provider(t, func(c *aws.Config) {
		c.Queues = []aws.Queue{{URL: awsURL(w) + "/1/q", Region: "us-east-1"}}
		c.Wait = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	})
	err := p.Interruptions(t.Context(), (&listener{}).deliver)
	refusal(t, err, purser.KindForbidden)
	if len(pauses) != 3 || pauses[0] != time.Second || pauses[2] != 4*time.Second {
		t.Errorf("the pauses were %v", pauses)
	}
}

// TestNoQueues waits for the end, and leaves nothing running.
func TestNoQueues(t *testing.T) {
	w := fresh(t)
	p := w.provider(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		if err := p.Interruptions(ctx, (&listener{}).deliver); err != nil || time.Since(begun) != time.Hour {
			t.Errorf("it ended after %s with %v", time.Since(begun), err)
		}
	})
}
