package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
)

// A task that was told to stop before its pod was made has ended when its Job says that no
// pod comes any more.
func TestStopBeforeItsPod(t *testing.T) {
	s := newScene(t)
	s.run(training("t", 1000))
	s.stop()
	if got := s.written(); got != "placed stopping: it was told to stop" {
		t.Errorf("it is %q", got)
	}
}

// A container that is made anew has Patience again.
func TestPatienceWithARestart(t *testing.T) {
	s := newScene(t)
	s.run(serving("t"))
	s.pass(time.Hour)
	s.pods(func(pod *corev1.Pod) {
		pod.CreationTimestamp = metav1.NewTime(s.now.Add(-time.Hour))
		pod.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: 1, StartedAt: metav1.NewTime(s.now.Add(-time.Hour)), FinishedAt: metav1.NewTime(s.now),
		}
	})
	s.waits("ErrImagePull", "the registry does not answer")
	s.works()
	s.pass(time.Second)
	if got := s.written(); got != "running ErrImagePull the registry does not answer" {
		t.Errorf("it is %q", got)
	}
	s.pass(5 * time.Minute)
	s.works()
	s.pass(time.Second)
	s.pass(time.Second)
	if got := s.written(); !strings.HasPrefix(got, "failed") {
		t.Errorf("after Patience it is %q", got)
	}
}

// No task is ended or told as ended because a cache lacks its pod.
func TestWorksWithACacheThatLags(t *testing.T) {
	s := newScene(t)
	s.run(training("t", 1000))
	s.pass(time.Second)
	l := s.listen(nil)
	w := s.p.watched.Load()
	lose := func() {
		for _, pod := range all[*corev1.Pod](w.pods) {
			if err := w.pods.GetStore().Delete(pod); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.until("its pod is known", func() bool { return len(all[*corev1.Pod](w.pods)) == 1 })
	lose()
	s.mu.Lock()
	s.now = s.now.Add(10 * time.Minute) // nothing happens, so nothing is watched
	s.mu.Unlock()
	if got := s.written(); got != "running" {
		t.Errorf("it is %q", got)
	}
	l.quiet()
}

// A claim does not grow with all tasks that its lease ever ran.
func TestForgetsInTheEnd(t *testing.T) {
	s := newScene(t)
	c, _, _, err := s.p.claim(t.Context(), "test", "lease-a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxForgotten {
		c.Forgotten = append(c.Forgotten, purser.TaskID(fmt.Sprintf("old-%d", i)))
	}
	if _, raced, err := s.p.update(t.Context(), "test", c); raced || err != nil {
		t.Fatal(raced, err)
	}
	if err := s.p.Forget(t.Context(), s.lease, "t"); err != nil {
		t.Fatal(err)
	}
	if c, _, _, err = s.p.claim(t.Context(), "test", "lease-a"); err != nil || len(c.Forgotten) != maxForgotten || !c.over("t") || c.over("old-0") || !c.over("old-1") {
		t.Errorf("it remembers %d, from %s: %v", len(c.Forgotten), c.Forgotten[0], err)
	}
}

// More lines than one call brings, within one second, all come.
func TestLogsOfAFlood(t *testing.T) {
	s := newScene(t)
	s.run(training("t", 1000))
	s.pass(time.Second)
	const lines, size = 100, 60 << 10 // 6 MB
	var text strings.Builder
	at := time.Date(2026, 3, 1, 0, 0, 1, 0, time.UTC)
	for i := range lines {
		fmt.Fprintf(&text, "%s %d%s\n", at.Add(time.Duration(i+1)*time.Millisecond).Format(time.RFC3339Nano), i, strings.Repeat("x", size))
	}
	fmt.Fprintf(&text, "%s %s\n%s end\n", at.Add(5e8).Format(time.RFC3339Nano), strings.Repeat("long", logBytes), at.Add(6e8).Format(time.RFC3339Nano))
	s.pods(func(pod *corev1.Pod) { s.logs[pod.Name] = text.String() })
	got, last := 0, ""
	for since := at; ; {
		page, err := s.p.Logs(t.Context(), s.lease, "t", since)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got, since, last = got+len(page), page[len(page)-1].At, page[len(page)-1].Text
	}
	if got != lines+2 || last != "end" {
		t.Errorf("%d lines of %d, the last one is %.20q", got, lines+2, last)
	}
}
