package jobfile

import (
	"strings"
	"testing"

	"purser"
)

const goodInventory = `
version: 1
user: purser
key_file: keys/id_ed25519
hosts:
  - name: rack1
    address: 10.0.0.4
    port: 2222
    host_keys: ["SHA256:uNiVztksCsDhcc0u9e8BrrQdoVRZnd9J4bXYqxTIxtg"]
    accelerators: A100-80GB:8
    cpus: 96
    memory: 1TiB
    region: berlin
    zone: rack-1
    country: DE
    power: {watts: 6000, usd_per_kwh: 0.2}
  - {name: desk, address: desk.example, user: me, host_keys: ["ssh-ed25519 AAAA"], usd_per_hour: 0, root: purser, places: 2, drained: true}
`

func TestInventory(t *testing.T) {
	in, err := ParseInventory("hosts.yaml", []byte(goodInventory))
	if err != nil {
		t.Fatal(err)
	}
	if in.User != "purser" || in.KeyFile != "keys/id_ed25519" || len(in.Hosts) != 2 {
		t.Fatalf("%+v", in)
	}
	rack, desk := in.Hosts[0], in.Hosts[1]
	if o := rack.Offer; o.InstanceType != "rack1" || o.Region != "berlin" || o.Zone != "rack-1" || o.Country != "DE" || o.Accelerator != "A100-80GB" || o.Devices != 8000 ||
		o.MilliCPU != 96_000 || o.MemoryMiB != 1<<20 || o.UnitPrice <= 0 || o.Option != purser.Private || o.Source != "private:power" {
		t.Errorf("%+v", o)
	}
	if rack.User != "purser" || rack.Port != 2222 || len(rack.HostKeys) != 1 || rack.Drained {
		t.Errorf("%+v", rack)
	}
	if desk.User != "me" || desk.Offer.Shape != (purser.Shape{}) || desk.Offer.UnitPrice != 0 || desk.Root != "purser" || desk.Places != 2 || !desk.Drained {
		t.Errorf("%+v", desk)
	}
}

func TestBadInventories(t *testing.T) {
	const host = "hosts:\n  - {name: a, address: h, user: u, host_keys: [k], usd_per_hour: 1"
	for name, c := range map[string]struct{ text, place, says string }{
		"no host":             {"user: u\n", "1:1", "has no host"},
		"an empty list":       {"hosts: []\n", "1:1", "has no host"},
		"an unknown field":    {host + ", adress: b}\n", "2:", `"adress" is not a field`},
		"no address":          {"hosts:\n  - {name: a, user: u, host_keys: [k], usd_per_hour: 1}\n", "2:", "needs address"},
		"no key":              {"hosts:\n  - {name: a, address: h, user: u, usd_per_hour: 1}\n", "2:", "needs host_keys"},
		"keys that are none":  {"hosts:\n  - {name: a, address: h, user: u, host_keys: k, usd_per_hour: 1}\n", "2:", "list of host keys"},
		"no user":             {"hosts:\n  - {name: a, address: h, host_keys: [k], usd_per_hour: 1}\n", "2:", "needs a user"},
		"half a shape":        {host + ", cpus: 4}\n", "2:", "cpus and memory"},
		"devices alone":       {host + ", accelerators: T4:1}\n", "2:", "cpus and memory"},
		"no price":            {"hosts:\n  - {name: a, address: h, user: u, host_keys: [k]}\n", "2:", "price of a host"},
		"two of a name":       {host + "}\n  - {name: a, address: g, user: u, host_keys: [k], usd_per_hour: 1}\n", "3:", "two hosts"},
		"a port beyond":       {host + ", port: 70000}\n", "2:", "70000"},
		"a count":             {host + ", count: 3}\n", "2:", `"count" is not a field`},
		"a version to come":   {"version: 2\n" + host + "}\n", "1:", "2"},
		"a name for a folder": {"hosts:\n  - {name: ../a, address: h, user: u, host_keys: [k], usd_per_hour: 1}\n", "2:", "cannot name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseInventory("hosts.yaml", []byte(c.text))
			if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "hosts.yaml:"+c.place) {
				t.Errorf("%v; want hosts.yaml:%s and %q", err, c.place, c.says)
			}
		})
	}
}
