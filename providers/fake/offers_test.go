package fake_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"purser"
	"purser/providers/fake"
)

const smallMarket = `{
  "offers": [
    {"region": "r1", "zone": "r1-a", "instance_type": "big", "purchase_option": "spot", "milli_cpu": 8000, "memory_mib": 32768, "usd_per_hour": 0.5},
    {"provider": "fake", "region": "r1", "instance_type": "big", "purchase_option": "on_demand", "milli_cpu": 8000, "memory_mib": 32768, "usd_per_hour": 1, "limit": 5}
  ],
  "capacity": {"r1-a/big/spot": 2, "*/big/on_demand": -1},
  "quotas": [{"name": "q", "limit": 100, "unit": "vcpus"}],
  "hazards": {"big": 0.1},
  "reserved": [{"id": "res-1", "total": 2, "offer": {"region": "r1", "instance_type": "big", "purchase_option": "reserved", "milli_cpu": 8000, "memory_mib": 32768, "usd_per_hour": 0.01}}]
}`

func TestReadMarket(t *testing.T) {
	m, err := fake.ReadMarket(strings.NewReader(smallMarket), "m.json", "fake")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Offers) != 2 || m.Offers[0].Provider != "fake" || m.Offers[0].Limit != purser.Unlimited || m.Offers[1].Limit != 5 ||
		len(m.Capacity) != 1 || m.Capacity["r1-a/big/spot"] != 2 || m.Hazards["big"] != 0.1 || len(m.Quotas) != 1 ||
		len(m.Reserved) != 1 || m.Reserved[0].Offer.Provider != "fake" || m.Reserved[0].Total != 2 {
		t.Errorf("%+v", m)
	}
	offer := `{"region":"r","instance_type":"t","purchase_option":"spot","usd_per_hour":1}`
	for name, c := range map[string]struct{ text, says string }{
		"empty":            {"", "m.json"},
		"no JSON":          {"{\n  \"offers\": [}", "m.json:2:14"},
		"a wrong type":     {"{\n\"offers\": 7}", "m.json:2:"},
		"an unknown field": {`{"offers":[` + offer + `],"colour":1}`, "colour"},
		"two objects":      {`{"offers":[` + offer + `]} {}`, "follows"},
		"no offers":        {`{"offers":[]}`, "at least one"},
		"of another cloud": {`{"offers":[{"provider":"aws","region":"r","instance_type":"t","purchase_option":"spot","usd_per_hour":1}]}`, "offers[0]"},
		"no price":         {`{"offers":[` + offer + `,{"region":"r","instance_type":"u","purchase_option":"spot"}]}`, "offers[1]"},
		"twice":            {`{"offers":[` + offer + `,` + offer + `]}`, "is offers[0] already"},
		"a capacity":       {`{"offers":[` + offer + `],"capacity":{"x":-5}}`, "no count"},
		"a quota":          {`{"offers":[` + offer + `],"quotas":[{"name":"q","limit":1,"unit":"pounds"}]}`, "unit"},
		"a hazard":         {`{"offers":[` + offer + `],"hazards":{"t":-1}}`, "preemptions"},
		"reserved spot":    {`{"offers":[` + offer + `],"reserved":[{"id":"x","total":1,"offer":` + offer + `}]}`, "reserved[0].offer"},
	} {
		if _, err := fake.ReadMarket(strings.NewReader(c.text), "m.json", "fake"); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %s", name, err, c.says)
		}
	}
	if _, err := fake.ReadMarket(iotest.ErrReader(errors.New("disk")), "m.json", "fake"); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a disk that fails: %v", err)
	}
}

func FuzzReadMarket(f *testing.F) {
	f.Add([]byte(smallMarket))
	f.Add([]byte(`{"offers":[{"region":"r","instance_type":"t","purchase_option":"spot","usd_per_hour":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := fake.ReadMarket(bytes.NewReader(b), "m.json", "fake")
		if err != nil {
			if e, ok := errors.AsType[*purser.Error](err); !ok || e.Kind != purser.KindInvalid || e.Place == nil || e.Place.File != "m.json" {
				t.Fatalf("%#v", err)
			}
			return
		}
		var c fake.Config
		m.Into(&c)
		cloud := fake.New(c)
		for _, o := range m.Offers {
			if k := kindOnly(cloud.Provider("ours"), of("a", o), t); k == purser.KindInvalid {
				t.Fatalf("the cloud does not sell its own offer %s", o.ID())
			}
		}
	})
}

func TestBuiltInMarket(t *testing.T) {
	var c fake.Config
	m := fake.BuiltIn("demo")
	m.Into(&c)
	c.Name = "demo"
	cloud := fake.New(c)
	seen := map[purser.OfferID]bool{}
	for _, o := range m.Offers {
		if err := o.Check(); err != nil || o.Provider != "demo" || seen[o.ID()] {
			t.Errorf("%s: %v", o.ID(), err)
		}
		seen[o.ID()] = true
		if o.Accelerator != "" {
			if _, known := purser.AcceleratorNamed(o.Accelerator); !known {
				t.Errorf("%s: nobody knows %s", o.ID(), o.Accelerator)
			}
		}
		// What it has ends where it says.
		n := 0
		for n < 100 && kindOnly(cloud.Provider("ours"), of(string(o.ID())+strings.Repeat("x", n), o), t) == "" {
			n++
		}
		if n < 2 || n >= 100 {
			t.Errorf("%d machines of %s", n, o.ID())
		}
	}
	if len(seen) != 7*7 {
		t.Errorf("%d offers", len(seen))
	}
}
