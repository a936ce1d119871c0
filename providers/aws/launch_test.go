package aws_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/aws"
	"purser/providers/aws/awstest"
	"purser/providers/bootstrap"
)

// TestSettings holds what a machine was really started with against what is promised,
// with a template and, at an endpoint without them, with the launch itself.
func TestSettings(t *testing.T) {
	for name, lacks := range map[string]map[string]bool{"template": nil, "inline": foreign} {
		t.Run(name, func(t *testing.T) {
			w := fresh(t)
			w.Lacks = lacks
			p := w.provider(t, func(c *aws.Config) { c.InstanceProfile, c.DiskGiB, c.KMSKey = "machines", 200, "alias/purser" })
			r := request("lease-a", spot)
			launch(t, p, r)
			m := w.only(t)
			for key, want := range map[string]string{
				"ImageId": "ami-nvidia", "InstanceInitiatedShutdownBehavior": "terminate",
				"MetadataOptions.HttpTokens": "required", "MetadataOptions.HttpEndpoint": "enabled", "MetadataOptions.HttpPutResponseHopLimit": "2",
				"BlockDeviceMapping.1.DeviceName": "/dev/xvda", "BlockDeviceMapping.1.Ebs.Encrypted": "true", "BlockDeviceMapping.1.Ebs.VolumeSize": "200",
				"BlockDeviceMapping.1.Ebs.VolumeType": "gp3", "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true", "BlockDeviceMapping.1.Ebs.KmsKeyId": "alias/purser",
				"NetworkInterface.1.AssociatePublicIpAddress": "false", "NetworkInterface.1.DeleteOnTermination": "true", "IamInstanceProfile.Name": "machines",
				"Placement.AvailabilityZoneId": "use1-az1", "Placement.AvailabilityZone": "", "KeyName": "",
				"InstanceMarketOptions.MarketType": "spot", "InstanceMarketOptions.SpotOptions.MaxPrice": "0.4800",
				"InstanceMarketOptions.SpotOptions.SpotInstanceType": "one-time", "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior": "terminate",
			} {
				if got := m.Settings.Get(key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
			script, err := base64.StdEncoding.DecodeString(m.Settings.Get("UserData"))
			want, wantErr := bootstrap.Script(r)
			if err != nil || wantErr != nil || string(script) != want {
				t.Errorf("user data is %q (%v, %v)", script, err, wantErr)
			}
			for _, what := range []string{"instance", "volume", "network-interface", "spot-instances-request"} {
				if tags := awstest.TagsFor(m.Settings, what); tags["purser-lease"] != "lease-a" || tags["purser-installation"] != installation || len(tags) != 2 {
					t.Errorf("tags of the %s are %v", what, tags)
				}
			}
		})
	}
}

// TestOnDemandHasNoSpotTags is here because AWS refuses tags of what is not made.
func TestOnDemandHasNoSpotTags(t *testing.T) {
	w := fresh(t)
	launch(t, w.provider(t), request("lease-a", onDemand))
	if tags := awstest.TagsFor(w.only(t).Settings, "spot-instances-request"); len(tags) != 0 {
		t.Errorf("an on-demand machine has tags of a spot request: %v", tags)
	}
}

// TestPools asks for any of several places, and leaves out what would be another machine.
func TestPools(t *testing.T) {
	w := fresh(t, "us-east-1", "us-west-2")
	w.Refuse = func(_, zone, _, _ string) string {
		if zone == "use1-az1" {
			return "InsufficientInstanceCapacity"
		}
		return ""
	}
	elsewhere := spot
	elsewhere.Region, elsewhere.Zone = "us-west-2", "usw2-az1"
	p := w.provider(t)
	in := launch(t, p, request("lease-a", spot, elsewhere, onDemand, offer("g5g.xlarge", "use1-az3", purser.Spot, 0.3), offer("g6.xlarge", "use1-az2", purser.Spot, 0.35)))
	if in.InstanceType != "g6.xlarge" || in.Zone != "use1-az2" || in.Region != "us-east-1" || w.only(t).Option != "spot" {
		t.Errorf("got %+v", in)
	}
	if calls := w.Calls(); calls["ec2:CreateFleet"] != 1 || calls["ec2:RunInstances"] != 0 {
		t.Errorf("calls were %v", calls)
	}
	if seen, err := p.Describe(t.Context(), request("lease-a", spot).Lease); err != nil || seen.ID != in.ID || seen.Zone != "use1-az2" {
		t.Errorf("Describe gave %+v, %v", seen, err)
	}
}

// TestSubnets goes into the operator's network, and refuses zones that it does not reach.
func TestSubnets(t *testing.T) {
	w := fresh(t)
	p := w.provider(t, func(c *aws.Config) {
		c.PublicIP = true
		c.Places = map[string]aws.Place{"us-east-1": {Subnets: map[string]string{"use1-az1": "subnet-use1-az1", "use1-az4": "subnet-use1-az4"}, SecurityGroups: []string{"sg-1"}}}
	})
	launch(t, p, request("lease-a", onDemand))
	m := w.only(t)
	if s := m.Settings; s.Get("NetworkInterface.1.SubnetId") != "subnet-use1-az1" || s.Get("NetworkInterface.1.SecurityGroupId.1") != "sg-1" ||
		s.Get("NetworkInterface.1.AssociatePublicIpAddress") != "true" || s.Has("Placement.AvailabilityZoneId") {
		t.Errorf("the machine was started with %v", m.Settings)
	}
	launch(t, p, request("lease-b", offer("g5.xlarge", "", purser.OnDemand, 1.006))) // any zone: both subnets
	if calls := w.Calls(); calls["ec2:CreateFleet"] != 1 {
		t.Errorf("a regional offer with two subnets made calls %v", calls)
	}
	_, err := p.Launch(t.Context(), request("lease-c", offer("g5.xlarge", "use1-az2", purser.OnDemand, 1.006)))
	if e := refusal(t, err, purser.KindInvalid); !strings.Contains(e.Error(), "use1-az2") || e.Hint == "" {
		t.Errorf("got %v", e)
	}
}

// TestImages takes the image that fits the type, asks for it once, and again after an hour.
func TestImages(t *testing.T) {
	w := fresh(t)
	p := w.provider(t)
	for kind, want := range map[string]string{
		"p5.48xlarge": "ami-nvidia", "g6f.large": "ami-nvidia", "g5g.xlarge": "ami-nvidiaarm", "p6e-gb200.36xlarge": "ami-nvidiaarm", "trn2.48xlarge": "ami-neuron",
		"inf2.xlarge": "ami-neuron", "f2.6xlarge": "ami-x86", "m7i.xlarge": "ami-x86", "c7g.xlarge": "ami-arm", "g4ad.xlarge": "ami-x86",
	} {
		in := launch(t, p, request("lease-"+strings.ReplaceAll(kind, ".", "-"), offer(kind, "use1-az1", purser.OnDemand, 1)))
		for _, m := range w.Machines() {
			if m.ID == in.ID && m.Settings.Get("ImageId") != want {
				t.Errorf("%s starts from %s, want %s", kind, m.Settings.Get("ImageId"), want)
			}
		}
	}
	if n := w.Calls()["ssm:GetParameter"]; n != len(images) {
		t.Errorf("%d images were asked for %d times", len(images), n)
	}
	w.clock.pass(2 * time.Hour)
	launch(t, p, request("lease-later", onDemand))
	if n := w.Calls()["ssm:GetParameter"]; n != len(images)+1 {
		t.Errorf("two hours later images were asked for %d times", n)
	}
}

// TestChangedAddress repeats a launch whose answer was lost with another address of the
// server, while EC2 does not show the machine yet.
func TestChangedAddress(t *testing.T) {
	for name, pools := range map[string][]purser.Offer{"one place": nil, "several": {offer("g6.xlarge", "use1-az2", purser.OnDemand, 0.8)}} {
		t.Run(name, func(t *testing.T) {
			w := fresh(t)
			w.Lag = time.Minute
			r := request("lease-a", onDemand, pools...)
			first := launch(t, w.provider(t), r)
			r.ServerURL = "https://purser.example:9090"
			if again := launch(t, w.provider(t), r); again.ID != first.ID {
				t.Errorf("with another address Launch gave %s, before %s", again.ID, first.ID)
			}
			w.SetImage("us-east-1", "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id", "ami-newer")
			if again := launch(t, w.provider(t), r); again.ID != first.ID {
				t.Errorf("with a newer image Launch gave %s, before %s", again.ID, first.ID)
			}
			w.only(t)
		})
	}
}

// TestChangedAddressForeign does so where there are no templates: no second machine, no
// endless conflict, and the machine as soon as it is seen.
func TestChangedAddressForeign(t *testing.T) {
	w := fresh(t)
	w.Lag, w.Lacks = time.Minute, foreign
	r := request("lease-a", onDemand)
	first := launch(t, w.provider(t), r)
	r.ServerURL = "https://purser.example:9090"
	_, err := w.provider(t).Launch(t.Context(), r)
	if e := refusal(t, err, purser.KindUnavailable); e.RetryAfter == 0 {
		t.Errorf("the error does not say when to ask again: %v", e)
	}
	w.clock.pass(time.Minute)
	if again := launch(t, w.provider(t), r); again.ID != first.ID {
		t.Errorf("Launch gave %s, before %s", again.ID, first.ID)
	}
	w.only(t)
}

// TestRefusedThenAgain is a token that EC2 has bound to the parameters of a request that
// it refused: the same launch with another address is no conflict.
func TestRefusedThenAgain(t *testing.T) {
	w := fresh(t)
	w.Refuse = func(_, _, _, _ string) string { return "InsufficientInstanceCapacity" }
	r := request("lease-a", onDemand)
	_, err := w.provider(t).Launch(t.Context(), r)
	refusal(t, err, purser.KindNoCapacity)
	w.Refuse = nil
	r.ServerURL = "https://purser.example:9090"
	launch(t, w.provider(t), r)
	if script, err := base64.StdEncoding.DecodeString(w.only(t).Settings.Get("UserData")); err != nil || !strings.Contains(string(script), r.ServerURL) {
		t.Errorf("the machine was told another address (%v)", err)
	}
}

// TestRefusedTwice are two callers whose launch is refused: the later of them to clean up
// spares the template of a third, who got a machine in between.
func TestRefusedTwice(t *testing.T) {
	w := fresh(t)
	w.Refuse = func(_, _, _, _ string) string { return "InsufficientInstanceCapacity" }
	r := request("lease-a", onDemand)
	first := true
	late := w.provider(t, func(c *aws.Config) {
		c.AWS.HTTPClient = answered(func(ask *http.Request) (*http.Response, error) {
			answer, err := w.transport().RoundTrip(ask)
			if refused := err == nil && answer.StatusCode >= http.StatusInternalServerError; refused && first {
				first = false
				_, err := w.provider(t).Launch(t.Context(), r)
				refusal(t, err, purser.KindNoCapacity)
				w.Refuse = nil
				launch(t, w.provider(t), r)
			}
			return answer, err
		})
	})
	_, err := late.Launch(t.Context(), r)
	refusal(t, err, purser.KindNoCapacity)
	if left := w.Templates("us-east-1"); first || len(left) != 1 {
		t.Errorf("the machine's template is not there: %v", left)
	}
	w.only(t)
}

// answered carries requests as a test says.
type answered func(*http.Request) (*http.Response, error)

func (f answered) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestChangedSettings ends a lease whose repetition would ask for another machine.
func TestChangedSettings(t *testing.T) {
	w := fresh(t)
	w.Lag = time.Minute
	r := request("lease-a", spot)
	launch(t, w.provider(t), r)
	_, err := w.provider(t, func(c *aws.Config) { c.MaxPriceFactor = 3 }).Launch(t.Context(), r)
	refusal(t, err, purser.KindConflict)
	w.only(t)
}

// TestEndedLease gets Gone after a minute, after EC2 forgot the machine, and a day later,
// and its template goes after that.
func TestEndedLease(t *testing.T) {
	for name, pools := range map[string][]purser.Offer{"one place": nil, "several": {offer("g6.xlarge", "use1-az2", purser.OnDemand, 0.8)}} {
		t.Run(name, func(t *testing.T) {
			w := fresh(t)
			p := w.provider(t)
			r := request("lease-a", onDemand, pools...)
			first := launch(t, p, r)
			w.clock.pass(72 * time.Hour)
			sweep := func(want int) {
				t.Helper()
				if n, err := p.Sweep(t.Context(), time.Hour); err != nil || n != want {
					t.Fatalf("Sweep removed %d, %v; want %d", n, err, want)
				}
			}
			sweep(0)
			w.End(first.ID, "Server.SpotInstanceTermination")
			for _, d := range []time.Duration{time.Minute, 2 * time.Hour, 20 * time.Hour} {
				w.clock.pass(d)
				if in := launch(t, p, r); in.State != providers.Gone || in.Lease != r.Lease.ID || in.Reason == "" {
					t.Errorf("%s later the lease was given %+v", d, in)
				}
				sweep(0)
			}
			w.clock.pass(24 * time.Hour)
			sweep(1)
			if left := w.Templates("us-east-1"); len(left) != 0 {
				t.Errorf("templates are left: %v", left)
			}
			sweep(0)
			w.only(t)
		})
	}
}

// TestSweepSparesLateMachines takes back the mark of a template whose machine came late.
func TestSweepSparesLateMachines(t *testing.T) {
	w := fresh(t)
	p := w.provider(t)
	w.Lag = time.Hour
	launch(t, p, request("lease-a", onDemand))
	w.clock.pass(10 * time.Minute)
	for range 3 {
		if n, err := p.Sweep(t.Context(), time.Minute); err != nil || n != 0 {
			t.Fatalf("Sweep removed %d, %v", n, err)
		}
		w.clock.pass(25 * time.Hour)
	}
	w.End(w.only(t).ID, "")
	w.clock.pass(time.Hour)
	if n, err := p.Sweep(t.Context(), time.Minute); err != nil || n != 0 {
		t.Errorf("the template was removed with its machine: %d, %v", n, err)
	}
}

// TestIdempotentInstanceTerminated is a token whose machine EC2 does not show any more.
func TestIdempotentInstanceTerminated(t *testing.T) {
	w := fresh(t)
	w.Remember = 0
	p := w.provider(t)
	r := request("lease-a", onDemand)
	launch(t, p, r)
	w.End(w.only(t).ID, "Client.InstanceInitiatedShutdown")
	w.clock.pass(time.Minute)
	if in := launch(t, p, r); in.State != providers.Gone {
		t.Errorf("got %+v, want it gone", in)
	}
	w.only(t)
}

// TestReservations takes the reservation that ends first, keeps to it, and tells a full
// one from a quota.
func TestReservations(t *testing.T) {
	w := fresh(t)
	w.Lag = time.Minute
	now := w.clock.now()
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-open", Type: "g5.xlarge", Zone: "use1-az1", Total: 5, Free: 5, State: "active", Tags: map[string]string{"team": "ml"}})
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-ends", Type: "g5.xlarge", Zone: "use1-az1", Total: 2, Free: 1, State: "active", Until: now.Add(time.Hour), Tags: map[string]string{"team": "ml"}})
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-other", Type: "g5.xlarge", Zone: "use1-az1", Total: 2, Free: 2, State: "active", Until: now.Add(time.Minute)})
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-block", Type: "p5.48xlarge", Zone: "use1-az2", Block: true, Total: 1, Free: 1, State: "active", Until: now.Add(24 * time.Hour), Tags: map[string]string{"team": "ml"}})
	p := w.provider(t, func(c *aws.Config) { c.ReservationTag = "team=ml" })
	r := request("lease-a", offer("g5.xlarge", "use1-az1", purser.Reserved, 0.01))
	first := launch(t, p, r)
	if again := launch(t, p, r); again.ID != first.ID { // cr-ends is full now, and the machine is not seen
		t.Errorf("a repeated launch gave %s, the first %s", again.ID, first.ID)
	}
	if m := w.only(t); m.Reservation != "cr-ends" || m.Option != "" {
		t.Errorf("the machine runs in %q as %q", m.Reservation, m.Option)
	}
	block := offer("p5.48xlarge", "use1-az2", purser.CapacityBlock, 0.01)
	launch(t, p, request("lease-b", block))
	if m := w.Machines()[1]; m.Reservation != "cr-block" || m.Option != "capacity-block" {
		t.Errorf("the machine runs in %q as %q", m.Reservation, m.Option)
	}
	_, err := p.Launch(t.Context(), request("lease-c", block))
	if e := refusal(t, err, purser.KindNoCapacity); e.Hint == "" || !strings.Contains(e.Error(), string(block.ID())) {
		t.Errorf("a full block gave %v", e)
	}
}

// TestUnfit are requests that AWS is not asked with.
func TestUnfit(t *testing.T) {
	w := fresh(t)
	abroad := onDemand
	abroad.Region = "eu-west-1"
	other := request("lease-a", onDemand)
	other.Installation = "other"
	agentless := request("lease-a", onDemand)
	agentless.AgentSHA256 = nil
	for name, r := range map[string]providers.Request{
		"region": request("lease-a", abroad), "installation": other, "lease": request("lease *", onDemand), "agent": agentless,
		"option": request("lease-a", offer("g5.xlarge", "use1-az1", purser.Serverless, 1)),
	} {
		_, err := w.provider(t).Launch(t.Context(), r)
		if refusal(t, err, purser.KindInvalid); len(w.Machines()) != 0 {
			t.Errorf("%s: a machine was made", name)
		}
	}
	if left := w.Templates("us-east-1"); len(left) != 0 {
		t.Errorf("templates are left: %v", left)
	}
}
