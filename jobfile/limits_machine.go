package jobfile

import (
	"slices"
	"strings"
	"time"

	"purser"
)

// machine is a private machine as it is written.
type machine struct {
	offer        purser.Offer
	amortization amortization
	power        power
	site         site
}

var machineTable = table[machine]{what: "a private machine", fields: slices.Concat(machineFields, lift(siteFields, func(m *machine) *site { return &m.site }))}

// machineFields are those that a host of an inventory has as well.
var machineFields = []field[machine]{
	{"name", func(_ *reader, m *machine, v value) (err error) {
		m.offer.InstanceType, err = v.name("a machine")
		return
	}},
	{"accelerators", func(_ *reader, m *machine, v value) error {
		a, err := v.oneModel(true)
		m.offer.Accelerator, m.offer.Devices, m.offer.DeviceMemoryMiB = a.name, a.devices, a.memory
		return err
	}},
	{"cpus", func(_ *reader, m *machine, v value) (err error) { m.offer.MilliCPU, err = v.cpus(); return }},
	{"memory", func(_ *reader, m *machine, v value) (err error) { m.offer.MemoryMiB, err = v.memory(); return }},
	{"disk", func(_ *reader, m *machine, v value) (err error) { m.offer.DiskMiB, err = v.memory(); return }},
	{"count", func(_ *reader, m *machine, v value) (err error) { m.offer.Limit, err = v.integer(1, 1e6); return }},
	{"region", func(_ *reader, m *machine, v value) (err error) { m.offer.Region, err = v.word(); return }},
	{"zone", func(_ *reader, m *machine, v value) (err error) { m.offer.Zone, err = v.word(); return }},
	{"country", func(_ *reader, m *machine, v value) error {
		s, err := v.country()
		if s == "EU" {
			err = v.fail("name the member state, such as DE", "a machine stands in a country, not in the EU at large")
		}
		m.offer.Country = s
		return err
	}},
	{"usd_per_hour", func(_ *reader, m *machine, v value) (err error) { m.offer.UnitPrice, err = v.price(); return }},
	{"amortization", func(r *reader, m *machine, v value) error { return readAmortization(r, &m.amortization, v) }},
	{"power", func(r *reader, m *machine, v value) error { return readPower(r, &m.power, v) }},
}

// amortization is what a machine cost and how long it has to earn that.
type amortization struct {
	cost        purser.Money
	life        time.Duration
	utilization float64
}

// hoursPerYear makes a year of 365 days.
const hoursPerYear = 8760

var amortizationTable = table[amortization]{what: "an amortization", fields: []field[amortization]{
	{"usd", func(_ *reader, a *amortization, v value) (err error) { a.cost, err = v.money("USD", "250000"); return }},
	{"years", func(_ *reader, a *amortization, v value) error {
		years, err := v.positive(50)
		a.life = time.Duration(years * hoursPerYear * float64(time.Hour))
		if err == nil && a.life <= 0 {
			err = v.fail("", "a machine lasts longer")
		}
		return err
	}},
	{"utilization", func(_ *reader, a *amortization, v value) error {
		var err error
		if a.utilization, err = v.share(1); err == nil && a.utilization == 0 {
			err = v.fail("", "a machine that is never in use cannot earn what it cost")
		}
		return err
	}},
}}

func readAmortization(r *reader, a *amortization, v value) error {
	w, err := amortizationTable.read(r, v, a)
	if err != nil {
		return err
	}
	for _, need := range amortizationTable.names() {
		if !w.has(need) {
			return v.fail("write {usd: 250000, years: 4, utilization: 0.7}", "an amortization needs %s", need)
		}
	}
	return nil
}

// power is what a machine draws and what that costs; watts 0 is not known.
type power struct {
	watts, pue float64
	perKWh     purser.Money
}

func defaultPower() power { return power{pue: purser.DefaultPUE, perKWh: purser.DefaultPerKWh} }

var powerTable = table[power]{what: "a machine's power", fields: []field[power]{
	{"watts", func(_ *reader, p *power, v value) (err error) { p.watts, err = v.positive(1e6); return }},
	{"pue", func(_ *reader, p *power, v value) (err error) { p.pue, err = v.number(1, 10); return }},
	{"usd_per_kwh", func(_ *reader, p *power, v value) (err error) { p.perKWh, err = v.money("USD per kWh", "0.14"); return }},
}}

func readPower(r *reader, p *power, v value) error {
	_, err := powerTable.read(r, v, p)
	return err
}

// positive reads a number above 0.
func (v value) positive(most float64) (float64, error) {
	f, err := v.number(0, most)
	if err == nil && f == 0 {
		err = v.fail("", "the number must be above 0")
	}
	return f, err
}

// money reads an amount that is not negative: 250000, $0.14. what says of what.
func (v value) money(what, example string) (purser.Money, error) {
	s, err := v.quantity("an amount of "+what, example)
	if err != nil {
		return 0, err
	}
	m, err := purser.ParseMoney(strings.TrimPrefix(s, "$"))
	if err != nil {
		return 0, v.fail("write it like "+example, "%q is not an amount of %s", clip(s), what)
	}
	if m < 0 {
		return 0, v.fail("", "an amount must not be negative")
	}
	return m, nil
}

// readMachines reads private machines, and adds to the atlas where they stand.
func readMachines(r *reader, list value) (out []purser.Offer, atlas purser.Atlas, err error) {
	first := map[purser.OfferID]int{}
	for _, item := range list.items() {
		m := machine{
			offer: purser.Offer{Provider: PrivateProvider, Region: DefaultSite, Option: purser.Private, Limit: 1, Source: PrivateProvider},
			power: defaultPower(),
		}
		w, err := machineTable.read(r, item, &m)
		if err != nil {
			return nil, nil, err
		}
		for _, need := range []string{"name", "cpus", "memory"} {
			if !w.has(need) {
				return nil, nil, item.fail("write {name: rack1, accelerators: A100-80GB:8, cpus: 96, memory: 1TiB}", "a private machine needs %s", need)
			}
		}
		o := &m.offer
		if o.MilliCPU == 0 || o.MemoryMiB == 0 {
			return nil, nil, item.fail("", "a machine has vCPUs and memory")
		}
		if line, ok := first[o.ID()]; ok {
			return nil, nil, w["name"].fail("use count for equal machines", "two machines are named %q in one place; the first stands in line %d", clip(o.InstanceType), line)
		}
		first[o.ID()] = w["name"].at.Line
		if err := m.price(item, w); err != nil {
			return nil, nil, err
		}
		if err := o.Check(); err != nil {
			return nil, nil, item.fail("", "%s", err)
		}
		if atlas, err = addSite(atlas, m, item); err != nil {
			return nil, nil, err
		}
		out = append(out, *o)
	}
	return out, atlas, nil
}

// price fills the price where it was not written, and says in the source how: what
// the machine's purchase and its power cost, or by default the power alone. An
// estimate stands in for watts that are not given, so that nothing is free but what
// is said to be.
func (m *machine) price(item value, w written) error {
	if w.has("usd_per_hour") {
		for _, other := range []string{"amortization", "power"} {
			if w.has(other) {
				return w["usd_per_hour"].fail("leave one of them out", "usd_per_hour is the whole price and cannot stand beside %s", other)
			}
		}
		return nil
	}
	var sum purser.USDPerHour
	var how []string
	if w.has("amortization") {
		a := m.amortization
		p, err := purser.AmortizedPrice(a.cost, a.life, a.utilization)
		if err != nil {
			return w["amortization"].fail("", "%s", err)
		}
		sum, how = p, append(how, "amortization")
	}
	if w.has("power") || !w.has("amortization") {
		name, at := "power", item
		if w.has("power") {
			at = w["power"]
		}
		if m.power.watts == 0 {
			name = "power-estimate"
			m.power.watts, _ = purser.MachineWatts(m.offer.Shape) // every model of the file is known
		}
		p, err := purser.PowerPrice(m.power.watts, m.power.pue, m.power.perKWh)
		if err != nil {
			return at.fail("", "%s", err)
		}
		if sum += p; sum < 0 {
			return item.fail("", "the price is more than can be counted")
		}
		how = append(how, name)
	}
	m.offer.UnitPrice, m.offer.Source = sum, PrivateProvider+":"+strings.Join(how, "+")
	return nil
}
