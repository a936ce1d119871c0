package bench

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/optimizer"
	"purser/pricing"
	"purser/pricing/csvfile"
)

// catalogues are the price lists of the ladder, in the folder
// price-catalogs-2024-02.
const catalogues = "aws azure gcp lambda oci runpod"

// catalogueDate is when their prices were seen.
var catalogueDate = time.Date(2024, 2, 21, 0, 0, 0, 0, time.UTC)

// Ladder is the material of every rung, read once.
type Ladder struct {
	pods   []pod
	runs   []run
	offers []purser.Offer // of all catalogues, in the order of their hash
}

// ReadLadder reads the traces and the price catalogues below dir.
func ReadLadder(ctx context.Context, dir string) (*Ladder, error) {
	var l Ladder
	var err error
	if l.pods, err = readPods(dir); err != nil {
		return nil, err
	}
	if l.runs, err = readRuns(dir); err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(catalogues) {
		c, err := csvfile.New(csvfile.Options{Path: filepath.Join(dir, "price-catalogs-2024-02", name+".csv.gz"), AsOf: catalogueDate})
		if err != nil {
			return nil, err
		}
		var rows []pricing.Row
		if err := c.Collect(ctx, func(b pricing.Batch) error { rows = append(rows, b.Rows...); return nil }); err != nil {
			return nil, err
		}
		l.offers = append(l.offers, pricing.Sift(rows).Offers...)
	}
	byHash := map[purser.OfferID]uint64{}
	for _, o := range l.offers {
		h := fnv.New64a()
		_, _ = h.Write([]byte(o.ID()))
		byHash[o.ID()] = h.Sum64()
	}
	slices.SortFunc(l.offers, func(a, b purser.Offer) int {
		return cmp.Or(cmp.Compare(byHash[a.ID()], byHash[b.ID()]), cmp.Compare(a.ID(), b.ID()))
	})
	return &l, nil
}

// thin takes the first n offers with accelerators by hash.
func (l *Ladder) thin(n int) []purser.Offer {
	out := make([]purser.Offer, 0, n)
	for _, o := range l.offers {
		if o.Devices > 0 && len(out) < n {
			out = append(out, o)
		}
	}
	return out
}

// Rung makes the problem of one rung. The same arguments give the same problem.
func (l *Ladder) Rung(jobs, offers int, seed uint64) optimizer.Input {
	rng := rand.New(rand.NewPCG(seed, uint64(jobs)))
	in := optimizer.Input{Now: catalogueDate, Horizon: 24 * time.Hour, Offers: l.thin(offers)}
	limited := limitedFamilies(rng, in.Offers)
	market := marketOf(in.Offers, limited)
	classes := min(max(jobs/30, 10), 1000)
	asked := map[string]float64{} // devices by the first accelerator of the class
	left := jobs
	for c := range classes {
		count := left / (classes - c)
		if c < classes-1 { // uneven classes: between a third and five thirds of an even share
			count = max(1, int(float64(count)*(1.0/3+rng.Float64()*4/3)))
		}
		count = min(count, left-(classes-c-1))
		left -= count
		group, replicas := l.group(rng, market, c)
		for i := range count {
			id := fmt.Sprintf("c%04d-%05d", c, i)
			in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(id), Project: "ladder", Name: id, Groups: []purser.TaskGroup{group}})
		}
		v := group.Variants[0]
		asked[v.Accelerator] += v.Devices.Devices() * float64(replicas*count)
	}
	in.Quotas = quotas(limited, asked)
	in.Offers = append(in.Offers, private(in.Offers, asked)...)
	return in
}

// market is what the thinned offers sell: accelerators by how many offers have
// them, and the largest machine of each.
type market struct {
	accelerators []string
	weight       []float64
	most         map[string]purser.Shape
	open         map[string][]purser.Offer // without a quota, by accelerator
}

// zones counts the zones without a quota that have a machine for the variant.
func (m market) zones(v purser.Variant) int {
	in := map[string]bool{}
	for _, o := range m.open[v.Accelerator] {
		if o.Devices >= v.Devices && o.MilliCPU >= v.MilliCPU && o.MemoryMiB >= v.MemoryMiB {
			in[o.Domain(purser.DomainZone)] = true
		}
	}
	return len(in)
}

// fit halves a need until three zones without a quota can serve it, so that every
// rung can be placed whole. The trace's pods come from larger machines.
func (m market) fit(v purser.Variant) purser.Variant {
	for i := 0; i < 12 && m.zones(v) < 3; i++ {
		v.MilliCPU, v.MemoryMiB = v.MilliCPU/2, v.MemoryMiB/2
		if v.Devices > purser.OneDevice {
			v.Devices = max(purser.OneDevice, v.Devices/2/purser.OneDevice*purser.OneDevice)
		}
	}
	return v
}

func marketOf(offers []purser.Offer, limited map[family]bool) market {
	m := market{most: map[string]purser.Shape{}, open: map[string][]purser.Offer{}}
	count := map[string]float64{}
	for _, o := range offers {
		a := o.Accelerator
		count[a]++
		s := m.most[a]
		s.Devices, s.MilliCPU, s.MemoryMiB = max(s.Devices, o.Devices), max(s.MilliCPU, o.MilliCPU), max(s.MemoryMiB, o.MemoryMiB)
		m.most[a] = s
		if !limited[family{o.Provider, a}] {
			m.open[a] = append(m.open[a], o)
		}
	}
	sold := map[string]bool{}
	for f, is := range wide(offers) {
		sold[f.accelerator] = sold[f.accelerator] || is
	}
	for _, a := range slices.Sorted(maps.Keys(count)) {
		if sold[a] {
			m.accelerators = append(m.accelerators, a)
			m.weight = append(m.weight, count[a]) // work goes where the supply is
		}
	}
	return m
}

func (m market) pick(rng *rand.Rand) string {
	sum := 0.0
	for _, w := range m.weight {
		sum += w
	}
	at := rng.Float64() * sum
	for i, w := range m.weight {
		if at -= w; at < 0 {
			return m.accelerators[i]
		}
	}
	return m.accelerators[len(m.accelerators)-1]
}

// group makes the task group that every job of one class has, training or a
// service, and says how many replicas it needs, a service's reserve apart.
func (l *Ladder) group(rng *rand.Rand, m market, c int) (purser.TaskGroup, int) {
	p := l.pods[rng.IntN(len(l.pods))]
	r := l.runs[rng.IntN(len(l.runs))]
	g := purser.TaskGroup{Name: "main", Kind: purser.Training, Run: purser.Run{Command: "true"}}
	for range 1 + rng.IntN(3) {
		if v := variant(p, m, m.pick(rng), rng); !slices.ContainsFunc(g.Variants, func(x purser.Variant) bool { return x.Name == v.Name }) {
			g.Variants = append(g.Variants, v)
		}
	}
	if c%5 == 4 {
		g.Kind, g.Survive = purser.Inference, purser.Survive{Level: purser.DomainZone, Share: 1}
		for i := range g.Variants {
			g.Variants[i].Throughput = math.Round(5 + 45*rng.Float64())
		}
		n := 1 + rng.IntN(4)
		g.Demand = g.Variants[0].Throughput * (float64(n) - 0.2)
		return g, n
	}
	for i := range g.Variants {
		g.Variants[i].Throughput = 0
	}
	g.RunTime, g.Replicas = r.duration.Round(time.Minute), 1
	if p.devices >= purser.OneDevice {
		g.Replicas = min(16, max(1, r.devices/int(max(1, g.Variants[0].Devices/purser.OneDevice))))
		g.Gang = g.Replicas > 1
	}
	return g, g.Replicas
}

// variant fits a pod's need onto an accelerator: what no machine of it has is cut
// to the largest one.
func variant(p pod, m market, accelerator string, rng *rand.Rand) purser.Variant {
	most := m.most[accelerator]
	v := purser.Variant{
		Name: accelerator, Accelerator: accelerator, Devices: min(p.devices, most.Devices),
		MilliCPU: min(p.milliCPU, most.MilliCPU), MemoryMiB: min(p.memoryMiB, most.MemoryMiB), Throughput: 1 + rng.Float64(),
	}
	if v.Devices >= purser.OneDevice { // a replica gets no more than its share of the largest machine
		v.MilliCPU = min(v.MilliCPU, most.MilliCPU*int64(v.Devices)/int64(most.Devices))
		v.MemoryMiB = min(v.MemoryMiB, most.MemoryMiB*int64(v.Devices)/int64(most.Devices))
	}
	if !v.Devices.ValidShare() {
		v.Devices = share(int64(v.Devices))
	}
	return m.fit(v)
}

// family is what a quota is about: an accelerator at a provider.
type family struct{ provider, accelerator string }

// wide says which families are sold in three zones or more: enough for a service
// that survives the loss of one.
func wide(offers []purser.Offer) map[family]bool {
	zones := map[family]map[string]bool{}
	out := map[family]bool{}
	for _, o := range offers {
		f := family{o.Provider, o.Accelerator}
		if zones[f] == nil {
			zones[f] = map[string]bool{}
		}
		zones[f][o.Domain(purser.DomainZone)] = true
		out[f] = len(zones[f]) >= 3
	}
	return out
}

// limitedFamilies chooses the third of the families that have a quota. Each
// accelerator keeps a wide family without one.
func limitedFamilies(rng *rand.Rand, offers []purser.Offer) map[family]bool {
	families := wide(offers)
	free := map[string]int{} // wide families without a quota, by accelerator
	for f, is := range families {
		if is {
			free[f.accelerator]++
		}
	}
	order := slices.SortedFunc(maps.Keys(families), compareFamilies)
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	out := map[family]bool{}
	for _, f := range order {
		if len(out) >= len(order)/3 || families[f] && free[f.accelerator] < 2 {
			continue
		}
		if families[f] {
			free[f.accelerator]--
		}
		out[f] = true
	}
	return out
}

func compareFamilies(a, b family) int {
	return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.accelerator, b.accelerator))
}

// quotas limit families to a fifth of what is asked of their accelerator, at least
// eight devices.
func quotas(limited map[family]bool, asked map[string]float64) []purser.Quota {
	var out []purser.Quota
	for _, f := range slices.SortedFunc(maps.Keys(limited), compareFamilies) {
		out = append(out, purser.Quota{
			Name: f.provider + "/" + f.accelerator, Unit: purser.QuotaDevices, Provider: f.provider, Accelerator: f.accelerator,
			Limit: int64(max(8, asked[f.accelerator]/5)),
		})
	}
	return out
}

// private are machines of the operator's own that could carry a tenth of the
// devices asked for, at a third of the cheapest price per device.
func private(offers []purser.Offer, asked map[string]float64) []purser.Offer {
	cheapest := map[string]purser.Offer{}
	per := func(o purser.Offer) float64 { return o.UnitPrice.USD() / o.Devices.Devices() }
	for _, o := range offers {
		if o.Devices < purser.OneDevice {
			continue
		}
		if c, ok := cheapest[o.Accelerator]; !ok || per(o) < per(c) || per(o) == per(c) && o.ID() < c.ID() {
			cheapest[o.Accelerator] = o
		}
	}
	var out []purser.Offer
	for _, a := range slices.Sorted(maps.Keys(asked)) {
		c, ok := cheapest[a]
		machines := int(asked[a] / 10 / 8)
		if !ok || machines == 0 {
			continue
		}
		out = append(out, purser.Offer{
			Provider: "private", Region: "home", InstanceType: "host-8x" + a, Option: purser.Private, Limit: machines, Source: "ladder",
			ValidFrom: catalogueDate, ObservedAt: catalogueDate, UnitPrice: purser.USDPerHourOf(per(c) * 8 / 3),
			Shape: purser.Shape{Accelerator: a, Devices: 8 * purser.OneDevice, DeviceMemoryMiB: c.DeviceMemoryMiB, MilliCPU: 128_000, MemoryMiB: 1 << 20},
		})
	}
	return out
}
