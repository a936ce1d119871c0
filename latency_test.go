package purser_test

import (
	"strings"
	"testing"
	"time"

	"purser"
)

// Round trips that are worked out, held against distances that are known.
func TestRoundTripsAreWorkedOut(t *testing.T) {
	for name, c := range map[string]struct {
		users        purser.Users
		offer        purser.Offer
		least, worst time.Duration
	}{
		"the same place":       {purser.Users{Near: "eu-west-1"}, purser.Offer{Provider: "azure", Region: "northeurope"}, 5 * time.Millisecond, 5 * time.Millisecond},
		"Dublin to Frankfurt":  {purser.Users{Near: "aws/eu-west-1"}, purser.Offer{Provider: "gcp", Region: "europe-west3"}, 26 * time.Millisecond, 29 * time.Millisecond}, // 1,090 km
		"across the antipodes": {purser.Users{At: purser.Coordinates{Lat: 40.42, Lon: -3.7}}, purser.Offer{Provider: "azure", Region: "newzealandnorth"}, 400 * time.Millisecond, 430 * time.Millisecond},
		"over the date line":   {purser.Users{At: purser.Coordinates{Lat: 0, Lon: 179}}, purser.Offer{Provider: "lab", Region: "isle"}, 9 * time.Millisecond, 10 * time.Millisecond}, // 222 km
		"anywhere in Germany":  {purser.Users{Country: "DE"}, purser.Offer{Provider: "aws", Region: "eu-central-1"}, 14 * time.Millisecond, 21 * time.Millisecond},
		"a country's region":   {purser.Users{Near: "eu-north-1"}, purser.Offer{Provider: "runpod", Region: "SE", Country: "SE"}, 20 * time.Millisecond, 40 * time.Millisecond},
		"measured":             {purser.Users{Country: "DE", Measured: map[string]time.Duration{"r": 9e6, "lab/r": 7e6}}, purser.Offer{Provider: "lab", Region: "r"}, 7 * time.Millisecond, 7 * time.Millisecond},
	} {
		atlas := purser.Atlas{{Provider: "lab", Region: "is*", At: purser.Coordinates{Lat: 0, Lon: -179}}}
		got, ok := atlas.LatencyFrom(c.users, c.offer)
		if !ok || got < c.least || got > c.worst {
			t.Errorf("%s: %v, %v; want %v to %v", name, got, ok, c.least, c.worst)
		}
	}
	for name, o := range map[string]purser.Offer{"an unknown region": {Provider: "lab", Region: "r"}, "an unknown country": {Provider: "lab", Region: "r", Country: "QQ"}} {
		if d, ok := (purser.Atlas{}).LatencyFrom(purser.Users{Country: "DE"}, o); ok {
			t.Errorf("%s: %v", name, d)
		}
	}
}

// What an atlas and the offer's type decide, reason by reason.
func TestAtlasAllows(t *testing.T) {
	atlas := purser.Atlas{
		{Provider: "private", Region: "leipzig", At: purser.Coordinates{Lat: 51.34, Lon: 12.37}},
		{Provider: "aws", Compliance: []string{"hipaa"}},
		{Provider: "aws", Region: "eu-*", Compliance: []string{"c5"}},
		{Provider: "private", Region: "vault", Confidential: true},
	}
	aws := purser.Offer{Provider: "aws", Region: "eu-central-1", InstanceType: "g6.xlarge", Option: purser.OnDemand}
	us := purser.Offer{Provider: "aws", Region: "us-west-2", InstanceType: "m6a.large", Option: purser.OnDemand}
	edge := purser.Offer{Provider: "local", Region: "leipzig", InstanceType: "edge", Option: purser.Private}
	vault := purser.Offer{Provider: "ssh", Region: "vault", InstanceType: "safe", Option: purser.Private}
	near := func(share float64) purser.TaskGroup {
		return purser.TaskGroup{
			Users:      []purser.Users{{Near: "eu-central-1", Share: 0.9}, {Near: "us-west-2", Share: 0.1}},
			MaxLatency: purser.MaxLatency{Time: 40 * time.Millisecond, Share: share},
		}
	}
	where := func(w purser.Where) purser.TaskGroup { return purser.TaskGroup{Where: w} }
	for name, c := range map[string]struct {
		g    purser.TaskGroup
		o    purser.Offer
		want purser.RefusalReason
	}{
		"nothing asked":       {purser.TaskGroup{}, aws, ""},
		"where comes first":   {where(purser.Where{Providers: []string{"gcp"}, Confidential: true}), aws, purser.ReasonProvider},
		"not confidential":    {where(purser.Where{Confidential: true}), aws, purser.ReasonConfidential},
		"a confidential type": {where(purser.Where{Confidential: true}), us, ""},
		"a site of its own":   {where(purser.Where{Confidential: true}), vault, ""},
		"another site":        {where(purser.Where{Confidential: true}), edge, purser.ReasonConfidential},
		"both rules":          {where(purser.Where{Compliance: []string{"c5", "hipaa"}}), aws, ""},
		"one rule of two":     {where(purser.Where{Compliance: []string{"c5", "hipaa"}}), us, purser.ReasonCompliance},
		"nothing is said":     {where(purser.Where{Compliance: []string{"c5"}}), edge, purser.ReasonCompliance},
		"the worst users":     {near(0), aws, purser.ReasonLatency},
		"most users":          {near(0.9), aws, ""},
		"too few users":       {near(0.9), us, purser.ReasonLatency},
		"an edge site":        {near(0.9), edge, ""},
		"a site nowhere":      {near(0.9), vault, purser.ReasonLatency},
	} {
		if got := atlas.Allows(&c.g, c.o); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Types that can run as confidential machines, and their neighbours that cannot.
func TestConfidentialTypes(t *testing.T) {
	for name, want := range map[string]bool{
		"aws/m6a.8xlarge": true, "aws/m6a.12xlarge": false, "aws/c6a.16xlarge": true, "aws/r6a.4xlarge": true, "aws/r6a.8xlarge": false, "aws/m6i.large": false,
		"aws/p5.48xlarge": false, "gcp/n2d-standard-8": true, "gcp/c3-standard-22": true, "gcp/c3-standard-8-lssd": false, "gcp/n2-standard-8": false,
		"gcp/a3-highgpu-1g": true, "gcp/a3-highgpu-8g": false, "azure/Standard_DC4as_v5": true, "azure/Standard_EC8eds_v6": true, "azure/Standard_DC4as_cc_v5": false,
		"azure/Standard_DC4s_v3": false, "azure/Standard_D4as_v5": false, "azure/Standard_NCC40ads_H100_v5": true, "azure/Standard_NC40ads_H100_v5": false, "lambda/gpu_1x_h100": false,
	} {
		provider, instanceType, _ := strings.Cut(name, "/")
		if got := purser.ConfidentialType(provider, instanceType); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A group that says its users wrongly is refused with the field, one that says them well is not.
func TestGroupsCheckTheirUsers(t *testing.T) {
	de, fr := purser.Users{Country: "DE"}, purser.Users{Country: "FR"}
	for name, c := range map[string]struct {
		change func(*purser.TaskGroup)
		field  string
	}{
		"well":                 {func(g *purser.TaskGroup) {}, ""},
		"a share of them":      {func(g *purser.TaskGroup) { g.MaxLatency.Share = 0.5 }, ""},
		"near a private site":  {func(g *purser.TaskGroup) { g.Users = []purser.Users{{Near: "private/x"}} }, ""},
		"no users":             {func(g *purser.TaskGroup) { g.Users = nil }, "users"},
		"no latency":           {func(g *purser.TaskGroup) { g.MaxLatency = purser.MaxLatency{} }, "max_latency"},
		"too much of them":     {func(g *purser.TaskGroup) { g.MaxLatency.Share = 1.5 }, "max_latency"},
		"no time":              {func(g *purser.TaskGroup) { g.MaxLatency = purser.MaxLatency{Share: 0.5} }, "max_latency"},
		"no such region":       {func(g *purser.TaskGroup) { g.Users = []purser.Users{{Near: "aws/mars-1"}} }, "users[0]"},
		"no such country":      {func(g *purser.TaskGroup) { g.Users = []purser.Users{de, {Country: "QQ"}} }, "users[1]"},
		"nowhere":              {func(g *purser.TaskGroup) { g.Users = []purser.Users{{}} }, "users[0]"},
		"one share of two":     {func(g *purser.TaskGroup) { g.Users = []purser.Users{{Country: "DE", Share: 0.5}, fr} }, "users[1]"},
		"measured backwards":   {func(g *purser.TaskGroup) { g.Users[0].Measured = map[string]time.Duration{"r": -1} }, "users[0]"},
		"a training group":     {func(g *purser.TaskGroup) { g.Kind, g.RunTime, g.Demand = purser.Training, time.Hour, 0 }, "max_latency"},
		"a rule of one's own":  {func(g *purser.TaskGroup) { g.Where.Compliance = []string{"ours"} }, "where.compliance"},
		"quality without one":  {func(g *purser.TaskGroup) { g.MinQuality = 0.9 }, "variants[0].quality"},
		"a quality below zero": {func(g *purser.TaskGroup) { g.Variants[0].Quality = -1 }, "variants[0].quality"},
	} {
		g := purser.TaskGroup{
			Name: "g", Kind: purser.Inference, Replicas: 1, Demand: 5, Run: purser.Run{Command: "x"}, Users: []purser.Users{de, fr},
			Variants: []purser.Variant{{Name: "v", MilliCPU: 1000, Throughput: 1}}, MaxLatency: purser.MaxLatency{Time: 50 * time.Millisecond},
		}
		c.change(&g)
		err := purser.Job{Name: "j", Project: "p", Groups: []purser.TaskGroup{g}}.Check()
		if got := pathOf(err); (c.field == "" && err != nil) || (c.field != "" && got != "groups[0]."+c.field) {
			t.Errorf("%s: %v at %q, want %q", name, err, got, c.field)
		}
	}
}

// pathOf is the field that an error blames.
func pathOf(err error) string {
	if e, ok := err.(*purser.Error); ok && e.Place != nil { //nolint:errorlint // Check returns it bare
		return e.Place.Path
	}
	return ""
}
