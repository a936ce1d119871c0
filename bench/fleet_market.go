package bench

import (
	"context"
	"fmt"
	"math"
	"slices"

	"purser"
	"purser/optimizer/highs"
)

// fleetSetting is one of the tables of E4.
type fleetSetting struct {
	name    string
	options []purser.PurchaseOption
	weights form
}

var fleetSettings = []fleetSetting{
	{"on demand", []purser.PurchaseOption{purser.OnDemand}, fp16},
	{"with spot", []purser.PurchaseOption{purser.OnDemand, purser.Spot}, fp16},
	{int8Form.name, []purser.PurchaseOption{purser.OnDemand}, int8Form},
}

// fleetMarket is the engines of a setting, the machines that they can be had on, and
// the requests.
type fleetMarket struct {
	fleetSetting
	tpot    float64
	buckets []bucket
	engines []engine
	offers  []purser.Offer // by price; each holds a whole number of its accelerator's engine
}

func (m *fleetMarket) title() string { return fmt.Sprintf("E4 %g ms, %s", 1000*m.tpot, m.name) }

func (f *Fleet) market(s fleetSetting, tpot float64) *fleetMarket {
	m := fleetMarket{fleetSetting: s, tpot: tpot, buckets: f.buckets, engines: f.engines(tpot, s.weights)}
	var all []purser.Offer
	for _, o := range f.offers {
		if slices.Contains(s.options, o.Option) && m.engineOn(o) >= 0 {
			all = append(all, o)
		}
	}
	for _, o := range all {
		if worthwhile(o, all) {
			m.offers = append(m.offers, o)
		}
	}
	return &m
}

// worthwhile says whether a machine costs less than as many smaller ones of its zone
// that hold the same. Shares of engines are all of one size, so they lie on those just
// as well, and no fleet needs it otherwise.
func worthwhile(o purser.Offer, all []purser.Offer) bool {
	return !slices.ContainsFunc(all, func(x purser.Offer) bool {
		return x.Accelerator == o.Accelerator && x.Domain(purser.DomainZone) == o.Domain(purser.DomainZone) &&
			x.Devices < o.Devices && o.Devices%x.Devices == 0 && x.UnitPrice*purser.USDPerHour(o.Devices/x.Devices) <= o.UnitPrice
	})
}

// engineOn is the engine that a machine is for; -1: it holds no whole number of one.
func (m *fleetMarket) engineOn(o purser.Offer) int {
	return slices.IndexFunc(m.engines, func(e engine) bool {
		one := purser.MilliDevices(e.devices) * purser.OneDevice
		return e.accelerator == o.Accelerator && o.Devices >= one && o.Devices%one == 0
	})
}

// held is how many engines a machine holds.
func (m *fleetMarket) held(o purser.Offer) int {
	return int(o.Devices/purser.OneDevice) / m.engines[m.engineOn(o)].devices
}

// cheapest keeps the n cheapest offers of each accelerator and number of devices. With
// n = 1 and no reserve nothing is lost by it: such machines differ in price alone.
func (m *fleetMarket) cheapest(n int) []purser.Offer {
	type kind struct {
		accelerator string
		devices     purser.MilliDevices
	}
	seen := map[kind]int{}
	var out []purser.Offer
	for _, o := range m.offers {
		k := kind{o.Accelerator, o.Devices}
		if seen[k]++; seen[k] <= n {
			out = append(out, o)
		}
	}
	return out
}

// routed is the market with buckets merged into classes, one for each accelerator that
// serves some buckets for least: requests are sent by their size to what suits them,
// and may still be served elsewhere at what their class needs there.
func (m *fleetMarket) routed() *fleetMarket {
	price := make([]float64, len(m.engines)) // least for one engine
	for i := range price {
		price[i] = math.Inf(1)
	}
	for _, o := range m.offers {
		e := m.engineOn(o)
		price[e] = min(price[e], o.UnitPrice.USD()/float64(m.held(o)))
	}
	members := make([][]int, len(m.engines))
	for i := range m.buckets {
		best := 0
		for k, e := range m.engines {
			if price[k]/e.rates[i] < price[best]/m.engines[best].rates[i] {
				best = k
			}
		}
		members[best] = append(members[best], i)
	}
	r := *m
	r.buckets, r.engines = nil, slices.Clone(m.engines)
	for k := range r.engines {
		r.engines[k].rates = nil
	}
	for _, list := range members {
		if len(list) > 0 {
			r.merge(m, list)
		}
	}
	return &r
}

// merge adds a class made of some buckets of the market that m is routed from. An
// engine's rate for it is that of the mixture, and 0 when it cannot serve one of them.
func (m *fleetMarket) merge(from *fleetMarket, list []int) {
	var c bucket
	load := make([]float64, len(from.engines))
	for _, i := range list {
		b := from.buckets[i]
		c.in, c.out, c.share = c.in+b.share*b.in, c.out+b.share*b.out, c.share+b.share
		for k, e := range from.engines {
			load[k] += b.share / e.rates[i]
		}
	}
	c.in, c.out = c.in/c.share, c.out/c.share
	m.buckets = append(m.buckets, c)
	for k := range m.engines {
		m.engines[k].rates = append(m.engines[k].rates, c.share/load[k])
	}
}

// single is the price of the cheapest fleet of one engine for a rate: machines that
// hold the sum of rate/throughput over the buckets, in engines. +Inf when it does not
// serve all.
func (m *fleetMarket) single(at int, rate float64) float64 {
	load := 0.0
	for i, b := range m.buckets {
		load += rate * b.share / m.engines[at].rates[i]
	}
	if math.IsInf(load, 1) {
		return load
	}
	// cost[n] is that of the cheapest machines that hold n engines or more.
	cost := make([]float64, int(math.Ceil(load-1e-9))+1)
	for n := 1; n < len(cost); n++ {
		cost[n] = math.Inf(1)
		for _, o := range m.offers {
			if m.engineOn(o) == at {
				cost[n] = min(cost[n], o.UnitPrice.USD()+cost[max(0, n-m.held(o))])
			}
		}
	}
	return cost[len(cost)-1]
}

// melange solves the paper's program with slices of no size, that is with load that can
// be divided at will over all machines of an accelerator:
//
//	min Σ_o price_o·z_o    Σ_e x_be = 1 for each bucket b,    Σ_b λ_b/θ_be · x_be ≤ Σ_{o of e} engines_o·z_o,    z whole
//
// No fleet for the buckets costs less.
func (m *fleetMarket) melange(ctx context.Context, rt *highs.Runtime, rate float64) (float64, error) {
	s, err := rt.NewSolver(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	var rows highs.Rows
	for range m.buckets {
		rows.Append(1, 1, nil, nil)
	}
	for range m.engines {
		rows.Append(0, math.Inf(1), nil, nil)
	}
	if err := s.AddRows(rows); err != nil {
		return 0, err
	}
	var cols highs.Columns
	var whole []int32
	for _, o := range m.cheapest(1) {
		row := int32(len(m.buckets) + m.engineOn(o)) //nolint:gosec // a few rows
		whole = append(whole, int32(len(whole)))     //nolint:gosec // a few columns
		cols.Append(o.UnitPrice.USD(), 0, math.Inf(1), []int32{row}, []float64{float64(m.held(o))})
	}
	for i, b := range m.buckets {
		for k, e := range m.engines {
			if e.rates[i] > 0 {
				cols.Append(0, 0, 1, []int32{int32(i), int32(len(m.buckets) + k)}, []float64{1, -rate * b.share / e.rates[i]}) //nolint:gosec // as above
			}
		}
	}
	if err := s.AddCols(cols); err != nil {
		return 0, err
	}
	if err := s.SetIntegrality(whole, true); err != nil {
		return 0, err
	}
	res, err := s.Run(ctx, highs.Limits{RelGap: 1e-7, Work: 100_000})
	if err != nil {
		return 0, err
	}
	return res.Bound, nil
}
