package app

import (
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/aws/awstest"
)

// A job runs on EC2: bought by the plan, launched through the SDK at the endpoint of
// AWS_ENDPOINT_URL, looked after and ended.
func TestAJobOnEC2(t *testing.T) {
	w := newWorld(t)
	server := awstest.NewServer()
	t.Cleanup(server.Close)
	cloud := server.NewCloud(w.now)
	cloud.SetImage("us-east-1", "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id", "ami-nvidia")
	cloud.SetQuotas("us-east-1", []awstest.Quota{{Code: "L-3819A6DF", Name: "All G and VT Spot Instance Requests", Value: 8}}, nil)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", cloud.Key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	w.programs = map[string]program{"amd64": {sha256: strings.Repeat("0", 64)}, "arm64": {sha256: strings.Repeat("1", 64)}}
	p, err := newAWSProvider(t.Context(), w.App, ProviderConfig{Regions: []string{"us-east-1"}})
	w.must(err)
	w.enable("aws", p)
	w.fleet.AgentSHA256 = w.agentSHA256()
	w.must(w.askHeadroom(t.Context(), "aws", quoterOf(t, p)))
	o := offer("g4dn.xlarge", purser.Spot, 0.2)
	o.Zone, o.Devices, o.MilliCPU, o.MemoryMiB, o.ObservedAt, o.ValidFrom = "use1-az1", 1000, 4000, 16<<10, w.now(), w.now()
	w.feed.offers = []purser.Offer{o}
	w.must(w.collect(t.Context(), w.sources[0]))
	w.submitSteady(3) // the quota is for two
	w.must(w.plan(t.Context()))
	w.steps()
	leases := w.leases()
	if len(leases) != 2 || leases[0].Holder != "aws" || leases[0].Instance == "" || leases[0].State != purser.LeaseLaunching {
		t.Fatalf("leases: %+v", leases)
	}
	machines := cloud.Machines()
	if len(machines) != 2 || machines[0].Tags["purser-installation"] != w.installation || machines[0].Option != "spot" {
		t.Fatalf("machines: %+v", machines)
	}
	for range 2 { // looked at again and again
		w.clock.pass(10 * time.Second)
		w.steps()
	}
	for _, l := range leases {
		w.join(l.ID)
		w.report(l.ID, purser.TaskRunning)
		_, err := w.db.Advance(t.Context(), l.ID, "tester", func(purser.Lease) (purser.Transition, error) {
			return purser.Transition{To: purser.LeaseDraining, Reason: "enough", At: w.now()}, nil
		})
		w.must(err)
	}
	for range 12 {
		w.clock.pass(10 * time.Second)
		w.steps()
	}
	for _, l := range leases {
		if got := w.lease(l.ID); got.State != purser.LeaseReleased {
			t.Errorf("lease %s is %s: %s", l.ID, got.State, got.Reason)
		}
	}
	if n := cloud.Live("purser-lease"); len(n) != 0 {
		t.Errorf("machines that are left: %v", n)
	}
	if calls := cloud.Calls(); calls["ec2:CreateFleet"]+calls["ec2:RunInstances"] != 2 {
		t.Errorf("calls: %v", calls)
	}
}

func quoterOf(t *testing.T, p providers.Provider) providers.Quoter {
	t.Helper()
	q, ok := providers.As[providers.Quoter](p)
	if !ok {
		t.Fatal("the provider knows no quotas")
	}
	return q
}
