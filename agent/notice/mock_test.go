package notice

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestAgainstAWSMock watches AWS's own imitation of its metadata service, which
// scripts/metadata-mock.sh builds and names in PURSER_METADATA_MOCK.
func TestAgainstAWSMock(t *testing.T) {
	mock := os.Getenv("PURSER_METADATA_MOCK")
	if mock == "" {
		t.Skip("run it with: sh scripts/metadata-mock.sh")
	}
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, c := range []struct {
		name string
		args []string
		want []Notice // in any order
	}{
		{"terminate after two seconds", []string{"spot", "--action", "terminate", "-d", "2", "--rebalance-delay-sec", "3600", "-t", soon.Format(time.RFC3339)}, []Notice{
			{Preempted, soon, "AWS will terminate the spot machine at " + soon.Format(time.RFC3339), true},
		}},
		{"hibernate", []string{"spot", "--action", "hibernate", "--rebalance-delay-sec", "3600", "-t", soon.Format(time.RFC3339)}, []Notice{
			{Preempted, soon, "AWS will hibernate the spot machine at " + soon.Format(time.RFC3339), true},
		}},
		{"rebalance", []string{"spot", "-d", "3600", "--rebalance-delay-sec", "1", "-r", soon.Format(time.RFC3339)}, []Notice{
			{Rebalance, soon, "AWS expects to need the spot machine back", false},
		}},
		{"retirement in an hour", []string{"events", "--code", "instance-retirement", "--state", "active", "-b", soon.Format(time.RFC3339)}, []Notice{
			{Maintenance, soon, "AWS plans instance-retirement: ", false},
		}},
		{"reboot now", []string{"events", "--code", "system-reboot", "--state", "active", "-b", time.Now().UTC().Format(time.RFC3339)}, []Notice{
			{Maintenance, time.Time{}, "AWS plans system-reboot: ", false}, {Maintenance, time.Time{}, "AWS plans system-reboot: ", true},
		}},
		{"a reboot that was called off", []string{"events", "--code", "system-reboot", "--state", "canceled"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := startMock(t, mock, c.args...)
			config := Config{URL: url, pace: usual()}
			config.pace.aws, config.pace.rounds = 50*time.Millisecond, make([]time.Duration, 100)
			for i := range config.pace.rounds {
				config.pace.rounds[i] = 50 * time.Millisecond // it takes a moment to come up
			}
			ctx, cancel := context.WithCancel(t.Context())
			w := &watched{t: t, notices: make(chan Notice, 100), ended: make(chan struct{}), cancel: cancel}
			log := newCount()
			config.Logger = log.logger()
			go func() {
				defer close(w.ended)
				Watch(ctx, config, func(n Notice) { w.notices <- n })
			}()
			defer w.end()
			for _, want := range c.want {
				got := w.next()
				if got.Kind != want.Kind || !strings.HasPrefix(got.Reason, want.Reason) || got.Leave != want.Leave || (!want.At.IsZero() && !got.At.Equal(want.At)) {
					t.Errorf("told %+v\nwant %+v", got, want)
				}
			}
			if c.want == nil {
				until(t, "the service is found", func() bool { return log.has("the cloud's notices are watched") })
			}
			w.none()
			if log.has("the metadata service cannot be read and is asked again") {
				t.Error("the mock was not understood")
			}
		})
	}
}

// startMock runs the mock on a port of its own, for tokens (version 2) alone.
func startMock(t *testing.T, program string, args ...string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	cmd := exec.CommandContext(t.Context(), program, append(args, "-I", "-n", "127.0.0.1", "-p", port)...)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the test's context has ended it
	return "http://127.0.0.1:" + port
}
