package aws_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/aws"
	"purser/providers/aws/awstest"
	"purser/providers/providertest"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

const installation = "test"

// world is an account with what an adapter needs.
type world struct {
	*awstest.Cloud
	clock  *clock
	config aws.Config
}

// images are the parameters that the default images stand in.
var images = map[string]string{
	"/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id": "ami-nvidia",
	"/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id":  "ami-nvidiaarm",
	"/aws/service/neuron/dlami/base/amazon-linux-2023/latest/image_id":                                "ami-neuron",
	"/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id":                           "ami-x86",
	"/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id":                     "ami-arm",
}

func newWorld(server *awstest.Server, regions ...string) *world {
	if len(regions) == 0 {
		regions = []string{"us-east-1"}
	}
	clock := newClock()
	w := &world{Cloud: server.NewCloud(clock.now), clock: clock}
	for _, region := range regions {
		for name, id := range images {
			w.SetImage(region, name, id)
		}
	}
	w.config = aws.Config{AWS: w.Config(nil), Installation: installation, Regions: regions, Now: clock.now}
	return w
}

// fresh is a world with a server of its own.
func fresh(t testing.TB, regions ...string) *world {
	t.Helper()
	server := awstest.NewServer()
	t.Cleanup(server.Close)
	return newWorld(server, regions...)
}

// provider makes an adapter; change alters its configuration.
func (w *world) provider(t testing.TB, change ...func(*aws.Config)) *aws.Provider {
	t.Helper()
	c := w.config
	for _, f := range change {
		f(&c)
	}
	p, err := aws.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// through makes an adapter whose calls go through faults.
func (w *world) through(f *providertest.Faults) func(*aws.Config) {
	return func(c *aws.Config) { c.AWS.HTTPClient = &http.Client{Transport: f.RoundTripper(w.transport())} }
}

func (w *world) transport() http.RoundTripper {
	client, ok := w.Config(nil).HTTPClient.(*http.Client)
	if !ok {
		return http.DefaultTransport
	}
	return client.Transport
}

func offer(instanceType, zone string, option purser.PurchaseOption, price float64) purser.Offer {
	return purser.Offer{
		Provider: aws.Name, Region: "us-east-1", Zone: zone, InstanceType: instanceType, Option: option,
		Shape: purser.Shape{Accelerator: "A10G", Devices: 1000, MilliCPU: 4000, MemoryMiB: 16384}, UnitPrice: purser.USDPerHourOf(price),
	}
}

var (
	onDemand = offer("g5.xlarge", "use1-az1", purser.OnDemand, 1.006)
	spot     = offer("g5.xlarge", "use1-az1", purser.Spot, 0.40)
)

var sums = map[string]string{"amd64": strings.Repeat("0", 64), "arm64": strings.Repeat("1", 64)}

func request(id string, o purser.Offer, pools ...purser.Offer) providers.Request {
	l := purser.Lease{ID: purser.LeaseID(id), Offer: o, Holder: aws.Name, State: purser.LeaseLaunching, Attempt: 1}
	return providers.Request{
		Lease: l, Pools: pools, Installation: installation, Token: providers.ClientToken(installation, l), JoinToken: "join-" + id,
		ServerURL: "https://purser.example:8080", AgentSHA256: sums,
	}
}

func launch(t testing.TB, p providers.Provider, r providers.Request) providers.Instance {
	t.Helper()
	in, err := p.Launch(t.Context(), r)
	if err != nil {
		t.Fatalf("Launch(%s): %v", r.Lease.ID, err)
	}
	return in
}

// refusal checks that a call failed with a kind and gives the error.
func refusal(t testing.TB, err error, kind purser.Kind) *purser.Error {
	t.Helper()
	e, ok := errors.AsType[*purser.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	return e
}

// only gives the one machine that there is.
func (w *world) only(t testing.TB) *awstest.Machine {
	t.Helper()
	all := w.Machines()
	if len(all) != 1 {
		t.Fatalf("there are %d machines, want one", len(all))
	}
	return all[0]
}

// agents gives requests the checksums that a server always gives.
type agents struct{ providers.Provider }

func (a agents) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	if r.AgentSHA256 == nil {
		r.AgentSHA256 = sums
	}
	return a.Provider.Launch(ctx, r)
}

// machinesOf counts what costs money by lease.
func (w *world) machinesOf() map[purser.LeaseID]int {
	out := map[purser.LeaseID]int{}
	for id, n := range w.Live("purser-lease") {
		out[purser.LeaseID(id)] = n
	}
	return out
}

func ids(all []providers.Instance) (out []string) {
	for _, in := range all {
		out = append(out, in.ID)
	}
	slices.Sort(out)
	return out
}
