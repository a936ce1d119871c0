package aws_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"purser"
	"purser/providers/aws"
	"purser/providers/aws/awstest"
)

// many makes regions and spreads machines over them, other installations' among them.
func many(tb testing.TB, regions, machines int) *world {
	var names []string
	for i := range regions {
		names = append(names, fmt.Sprintf("xx-place-%d", i+1))
	}
	w := fresh(tb, names...)
	for i := range machines {
		m := awstest.Machine{
			Type: "g5.xlarge", Zone: "xx1-az1", Made: w.clock.now().Add(-time.Hour),
			Tags: map[string]string{"purser-lease": fmt.Sprintf("lease-%06d", (i*7919)%machines), "purser-installation": installation},
		}
		if i%50 == 0 {
			other := m
			other.Tags = map[string]string{"purser-lease": "lease-other", "purser-installation": "other"}
			w.Add(names[i%regions], other)
		}
		w.Add(names[i%regions], m)
	}
	return w
}

// TestListCutShort is a context that ends with the last answer: the list is whole.
func TestListCutShort(t *testing.T) {
	w := many(t, 1, 3)
	ctx, cancel := context.WithCancel(t.Context())
	p := w.provider(t, func(c *aws.Config) {
		c.AWS.HTTPClient = answered(func(r *http.Request) (*http.Response, error) {
			answer, err := w.transport().RoundTrip(r)
			if err != nil {
				return nil, err
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			answer.Body = io.NopCloser(bytes.NewReader(body))
			cancel()
			return answer, err
		})
	})
	if all, err := p.List(ctx); err != nil && purser.KindOf(err) != purser.KindUnavailable || err == nil && len(all) != 3 {
		t.Errorf("List gave %v, %v", all, err)
	}
}

// TestListPages lists regions of several pages, in the order of leases.
func TestListPages(t *testing.T) {
	w := many(t, 3, 700)
	w.PageSize = 40
	all, err := w.provider(t).List(t.Context())
	if err != nil || len(all) != 700 {
		t.Fatalf("List gave %d machines, %v", len(all), err)
	}
	for i, in := range all {
		if in.Lease != purser.LeaseID(fmt.Sprintf("lease-%06d", i)) || in.Region == "" || in.Installation != installation {
			t.Fatalf("machine %d is %+v", i, in)
		}
	}
	if n := w.Calls()["ec2:DescribeInstances"]; n < 18 {
		t.Errorf("700 machines in pages of 40 were read with %d calls", n)
	}
	w.Fault = func(_, region string) (int, string, string) {
		if region == "xx-place-2" {
			return 503, "Unavailable", ""
		}
		return 0, "", ""
	}
	all, err = w.provider(t).List(t.Context())
	if refusal(t, err, purser.KindUnavailable); len(all) != 0 {
		t.Errorf("a part of the list was given: %d", len(all))
	}
}

// BenchmarkList5000 is the machines of a large installation, each call taking 50 ms.
func BenchmarkList5000(b *testing.B) {
	w := many(b, 30, 5000)
	w.Latency = 50 * time.Millisecond
	p := w.provider(b)
	var most uint64
	for b.Loop() {
		all, err := p.List(b.Context())
		if err != nil || len(all) != 5000 {
			b.Fatalf("List gave %d machines, %v", len(all), err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}
	b.ReportMetric(float64(most>>20), "heap-MiB")
	if each := b.Elapsed() / time.Duration(b.N); each > 10*time.Second {
		b.Errorf("a listing takes %s", each)
	}
}
