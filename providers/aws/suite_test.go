package aws_test

import (
	"context"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/aws"
	"purser/providers/aws/awstest"
	"purser/providers/providertest"
)

func TestConformance(t *testing.T) {
	server := awstest.NewServer()
	t.Cleanup(server.Close)
	for name, prepare := range map[string]func(*world){
		"aws":                 func(*world) {},
		"without CreateFleet": func(w *world) { w.Lacks = map[string]bool{"ec2:CreateFleet": true} },
		"without templates":   func(w *world) { w.Lacks = foreign },
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(t *testing.T) providertest.Subject { return subject(t, server, prepare) })
		})
	}
}

// foreign is what a cloud lacks that speaks EC2's language and is not AWS.
var foreign = map[string]bool{
	"ec2:CreateFleet": true, "ec2:CreateLaunchTemplate": true, "ec2:DescribeLaunchTemplates": true, "ec2:DeleteLaunchTemplate": true,
}

func subject(t *testing.T, server *awstest.Server, prepare func(*world)) providertest.Subject {
	w := newWorld(server, "us-east-1", "us-west-2")
	t.Cleanup(func() { within(t, w.Calls()); w.Close() })
	prepare(w)
	// Five minutes of the cloud pass in a second of the suite.
	begun, started := w.clock.now(), time.Now()
	w.Now = func() time.Time { return begun.Add(300 * time.Since(started)) }
	again := func(installation string) providers.Provider {
		return agents{w.provider(t, func(c *aws.Config) { c.Now, c.Installation = w.Now, installation })}
	}
	return providertest.Subject{
		Provider: again(installation), Installation: installation, Offer: onDemand,
		Again: func() providers.Provider { return again(installation) }, Other: again,
	}
}

// TestStorm loses, repeats and cuts off calls between any two steps of a launch, of one
// place and of several, on a cloud that shows machines late.
func TestStorm(t *testing.T) {
	storm(t, providertest.StormOptions{}, func(w *world) { w.Lag = 45 * time.Second })
}

// TestStormReserved does it with machines that were paid for ahead.
func TestStormReserved(t *testing.T) {
	reserved := []purser.Offer{offer("g5.xlarge", "use1-az1", purser.Reserved, 0.01), offer("p5.48xlarge", "use1-az2", purser.CapacityBlock, 0.01)}
	storm(t, providertest.StormOptions{Schedules: 200, Seed: 9000}, func(w *world) {
		w.Lag = 45 * time.Second
		// As many as there are leases, each of which may take one machine and no more.
		w.Reserve("us-east-1", awstest.Reservation{ID: "cr-1", Type: "g5.xlarge", Zone: "use1-az1", Total: 2, Free: 2, State: "active"})
		w.Reserve("us-east-1", awstest.Reservation{ID: "cr-2", Type: "p5.48xlarge", Zone: "use1-az2", Total: 1, Free: 1, State: "active", Block: true})
	}, reserved...)
}

// TestStormForeign does the same to a cloud that knows neither templates nor fleets.
func TestStormForeign(t *testing.T) {
	storm(t, providertest.StormOptions{Schedules: 200, Seed: 5000}, func(w *world) { w.Lacks = foreign })
}

func storm(t *testing.T, o providertest.StormOptions, prepare func(*world), offers ...purser.Offer) {
	if offers == nil {
		offers = []purser.Offer{onDemand, spot, offer("m7i.xlarge", "", purser.OnDemand, 0.2)}
	}
	server := awstest.NewServer()
	t.Cleanup(server.Close)
	var last *world
	providertest.Storm(t, func(t *testing.T) providertest.World {
		if last != nil {
			within(t, last.Calls())
			last.Close()
		}
		w := newWorld(server)
		last = w
		prepare(w)
		pools := []purser.Offer{onDemand, offer("g5.xlarge", "use1-az2", purser.OnDemand, 1.006), offer("g6.xlarge", "use1-az1", purser.OnDemand, 0.9)}
		return providertest.World{
			Installation: installation, Offers: offers,
			Provider: func(f *providertest.Faults) providers.Provider { return pooled{w.provider(t, w.through(f)), pools} },
			Live:     w.machinesOf, Pass: w.clock.pass,
		}
	}, o)
}

// pooled gives on-demand launches of accelerators several pools.
type pooled struct {
	*aws.Provider
	pools []purser.Offer
}

func (p pooled) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	r.Pools = p.pools
	return p.Provider.Launch(ctx, r)
}
