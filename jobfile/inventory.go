package jobfile

import (
	"purser"
)

// Inventory is the hosts of an SSH pool.
type Inventory struct {
	User    string // of hosts that name none
	KeyFile string // private key that all of them know; empty: an agent's keys alone
	Hosts   []InventoryHost
}

// InventoryHost is a host as its operator declares it. Offer has name, place, price and
// country; its shape is of one place, and zero where the host is to be asked.
type InventoryHost struct {
	Offer    purser.Offer
	Address  string
	Port     int // 0: 22
	User     string
	HostKeys []string // as in authorized_keys, or SHA256 fingerprints
	Root     string   // Purser's folder there; empty: the provider's own choice
	Places   int      // leases at once; 0: one
	Drained  bool     // it takes no new lease
}

// hostEntry is a host as it is written.
type hostEntry struct {
	machine
	host InventoryHost
}

type inventoryFile struct {
	user, key string
	hosts     value
}

var inventoryTable = table[inventoryFile]{what: "an inventory", fields: []field[inventoryFile]{
	{"version", func(_ *reader, _ *inventoryFile, v value) error { _, err := v.integer(1, 1); return err }},
	{"user", func(_ *reader, f *inventoryFile, v value) (err error) { f.user, err = v.word(); return }},
	{"key_file", func(_ *reader, f *inventoryFile, v value) (err error) { f.key, err = v.text(maxWord); return }},
	{"hosts", func(_ *reader, f *inventoryFile, v value) error { f.hosts = v; return v.wantList("hosts") }},
}}

var hostTable = table[hostEntry]{what: "a host", fields: append([]field[hostEntry]{
	{"address", func(_ *reader, h *hostEntry, v value) (err error) { h.host.Address, err = v.word(); return }},
	{"port", func(_ *reader, h *hostEntry, v value) (err error) { h.host.Port, err = v.integer(1, 65535); return }},
	{"user", func(_ *reader, h *hostEntry, v value) (err error) { h.host.User, err = v.word(); return }},
	{"host_keys", func(_ *reader, h *hostEntry, v value) error {
		if err := v.wantList("host keys"); err != nil {
			return err
		}
		for _, item := range v.items() {
			key, err := item.text(maxKey)
			if err != nil {
				return err
			}
			h.host.HostKeys = append(h.host.HostKeys, key)
		}
		return nil
	}},
	{"root", func(_ *reader, h *hostEntry, v value) (err error) { h.host.Root, err = v.text(maxWord); return }},
	{"places", func(_ *reader, h *hostEntry, v value) (err error) { h.host.Places, err = v.integer(1, 1000); return }},
	{"drained", func(_ *reader, h *hostEntry, v value) (err error) { h.host.Drained, err = v.boolean(); return }},
}, lift(hostFields(), func(h *hostEntry) *machine { return &h.machine })...)}

// maxKey is the longest public key that is read, in bytes.
const maxKey = 8 << 10

// hostFields are those of a private machine that a host has as well.
func hostFields() []field[machine] {
	var out []field[machine]
	for _, f := range machineFields {
		if f.name != "count" { // a host is one
			out = append(out, f)
		}
	}
	return out
}

// ParseInventory reads the hosts of an SSH pool. Names are unique.
func ParseInventory(name string, data []byte) (Inventory, error) {
	out, err := parseInventory(name, data)
	if err != nil {
		return Inventory{}, inFile(name, err)
	}
	return out, nil
}

func parseInventory(name string, data []byte) (Inventory, error) {
	root, err := parseTree(name, data)
	if err != nil {
		return Inventory{}, err
	}
	r := &reader{}
	var f inventoryFile
	w, err := inventoryTable.read(r, root, &f)
	if err != nil {
		return Inventory{}, err
	}
	if !w.has("hosts") || len(f.hosts.items()) == 0 {
		return Inventory{}, root.fail("add hosts:", "the inventory has no host")
	}
	out := Inventory{User: f.user, KeyFile: f.key}
	first := map[string]int{}
	for _, item := range f.hosts.items() {
		h, at, err := readHost(r, item, out.User)
		if err != nil {
			return Inventory{}, err
		}
		if line, ok := first[h.Offer.InstanceType]; ok {
			return Inventory{}, at["name"].fail("", "two hosts are named %q; the first stands in line %d", clip(h.Offer.InstanceType), line)
		}
		first[h.Offer.InstanceType] = at["name"].at.Line
		out.Hosts = append(out.Hosts, h)
	}
	return out, nil
}

func readHost(r *reader, item value, user string) (InventoryHost, written, error) {
	h := hostEntry{machine: machine{offer: purser.Offer{Option: purser.Private, Source: PrivateProvider}, power: defaultPower()}, host: InventoryHost{User: user}}
	w, err := hostTable.read(r, item, &h)
	if err != nil {
		return h.host, w, err
	}
	for _, need := range []string{"name", "address", "host_keys"} {
		if !w.has(need) {
			return h.host, w, item.fail("write {name: rack1, address: 10.0.0.4, host_keys: [\"SHA256:…\"], usd_per_hour: 0.4}", "a host needs %s", need)
		}
	}
	switch {
	case h.host.User == "":
		return h.host, w, item.fail("name it here, or once for all hosts", "a host needs a user")
	case w.has("cpus") != w.has("memory"):
		return h.host, w, item.fail("give both, or neither to have the host asked", "a shape has cpus and memory")
	case w.has("accelerators") && !w.has("cpus"):
		return h.host, w, item.fail("give cpus and memory too, or nothing to have the host asked", "a shape has cpus and memory")
	case !w.has("cpus") && !w.has("usd_per_hour") && !w.has("amortization") && h.power.watts == 0:
		return h.host, w, item.fail("give usd_per_hour, amortization, or power with watts; 0 is a price", "the price of a host whose shape is not written cannot be found")
	}
	if err := h.price(item, w); err != nil {
		return h.host, w, err
	}
	h.host.Offer = h.offer
	return h.host, w, nil
}
