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

// thin takes the first n offers by hash: nine of ten with accelerators, as those are
// what the rung asks for, the rest without.
func (l *Ladder) thin(n int) []purser.Offer {
	out := make([]purser.Offer, 0, n)
	plain := n / 10
	for _, o := range l.offers {
		switch {
		case len(out) == n:
			return out
		case o.Devices == 0 && plain == 0:
			continue
		case o.Devices == 0:
			plain--
		case len(out)-(n/10-plain) >= n-n/10:
			continue
		}
		out = append(out, o)
	}
	return out
}

// Rung makes the problem of one rung. The same arguments give the same problem.
func (l *Ladder) Rung(replicas, offers int, seed uint64) optimizer.Input {
	rng := rand.New(rand.NewPCG(seed, uint64(replicas)))
	in := optimizer.Input{Now: catalogueDate, Horizon: 24 * time.Hour, Offers: l.thin(offers)}
	market := marketOf(in.Offers)
	classes := min(max(replicas/30, 10), 1000)
	asked := map[string]float64{} // devices by the first accelerator of the class
	left := replicas
	for c := range classes {
		count := left / (classes - c)
		if c < classes-1 { // uneven classes: between a third and five thirds of an even share
			count = max(1, int(float64(count)*(1.0/3+rng.Float64()*4/3)))
		}
		count = min(count, left-(classes-c-1))
		left -= count
		need := l.class(rng, market, c, count)
		for _, n := range need {
			v := n.Groups[0].Variants[0]
			asked[v.Accelerator] += v.Devices.Devices() * float64(max(1, n.Groups[0].Replicas))
		}
		in.Jobs = append(in.Jobs, need...)
	}
	in.Quotas = quotas(rng, in.Offers, asked)
	in.Offers = append(in.Offers, private(in.Offers, asked)...)
	return in
}

// market is what the thinned offers sell: accelerators by how many offers have
// them, and the largest machine of each.
type market struct {
	accelerators []string
	weight       []float64
	most         map[string]purser.Shape
}

func marketOf(offers []purser.Offer) market {
	m := market{most: map[string]purser.Shape{}}
	count := map[string]int{}
	zones := map[string]map[string]bool{}
	for _, o := range offers {
		a := o.Accelerator
		count[a]++
		s := m.most[a]
		s.Devices, s.MilliCPU, s.MemoryMiB = max(s.Devices, o.Devices), max(s.MilliCPU, o.MilliCPU), max(s.MemoryMiB, o.MemoryMiB)
		m.most[a] = s
		if zones[a] == nil {
			zones[a] = map[string]bool{}
		}
		zones[a][o.Domain(purser.DomainZone)] = true
	}
	for a := range count {
		if a != "" && len(zones[a]) >= 3 { // a service must survive the loss of a zone
			m.accelerators = append(m.accelerators, a)
		}
	}
	slices.Sort(m.accelerators)
	for _, a := range m.accelerators {
		m.weight = append(m.weight, math.Sqrt(float64(count[a])))
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

// class makes the jobs of one class: equal training jobs, or one service.
func (l *Ladder) class(rng *rand.Rand, m market, c, count int) []purser.Job {
	p := l.pods[rng.IntN(len(l.pods))]
	r := l.runs[rng.IntN(len(l.runs))]
	g := purser.TaskGroup{Name: "main", Kind: purser.Training, Run: purser.Run{Command: "true"}}
	for range 1 + rng.IntN(3) {
		if v := variant(p, m, m.pick(rng), rng); p.devices > 0 && !slices.ContainsFunc(g.Variants, func(x purser.Variant) bool { return x.Name == v.Name }) {
			g.Variants = append(g.Variants, v)
		}
	}
	if p.devices == 0 {
		g.Variants = []purser.Variant{{Name: "cpu", MilliCPU: min(p.milliCPU, m.most[""].MilliCPU), MemoryMiB: min(p.memoryMiB, m.most[""].MemoryMiB), Throughput: 1}}
	}
	name := fmt.Sprintf("c%04d", c)
	if c%5 == 4 {
		g.Kind, g.Survive = purser.Inference, purser.Survive{Level: purser.DomainZone, Share: 1}
		for i := range g.Variants {
			g.Variants[i].Throughput = math.Round(5 + 45*rng.Float64())
		}
		g.Demand = g.Variants[0].Throughput * float64(count)
		return []purser.Job{{ID: purser.JobID(name), Project: "ladder", Name: name, Groups: []purser.TaskGroup{g}}}
	}
	for i := range g.Variants {
		g.Variants[i].Throughput = 0
	}
	g.RunTime, g.Replicas = r.duration.Round(time.Minute), 1
	if p.devices >= purser.OneDevice {
		g.Replicas = min(16, count, max(1, r.devices/int(p.devices/purser.OneDevice)))
		g.Gang = g.Replicas > 1
	}
	var jobs []purser.Job
	for i := 0; i < count; i += g.Replicas {
		j := fmt.Sprintf("%s-%05d", name, i)
		g.Replicas = min(g.Replicas, count-i)
		g.Gang = g.Replicas > 1
		jobs = append(jobs, purser.Job{ID: purser.JobID(j), Project: "ladder", Name: j, Groups: []purser.TaskGroup{g}})
	}
	return jobs
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
	return v
}

// quotas limit a third of the families to a fifth of what is asked of their
// accelerator, at least eight devices. Each accelerator keeps a provider without a
// quota, so that everything can be placed.
func quotas(rng *rand.Rand, offers []purser.Offer, asked map[string]float64) []purser.Quota {
	type family struct{ provider, accelerator string }
	seen := map[family]bool{}
	free := map[string]int{} // providers without a quota, by accelerator
	for _, o := range offers {
		if f := (family{o.Provider, o.Accelerator}); o.Accelerator != "" && !seen[f] {
			seen[f] = true
			free[o.Accelerator]++
		}
	}
	families := slices.SortedFunc(maps.Keys(seen), func(a, b family) int {
		return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.accelerator, b.accelerator))
	})
	rng.Shuffle(len(families), func(i, j int) { families[i], families[j] = families[j], families[i] })
	var out []purser.Quota
	for _, f := range families {
		if free[f.accelerator] < 2 || len(out) >= len(families)/3 {
			continue
		}
		free[f.accelerator]--
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
		if o.Devices < purser.OneDevice || o.Accelerator == "" {
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
