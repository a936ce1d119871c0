package pricing

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"time"

	"purser"
)

// Per is what a price is for, so that unlike machines can be compared.
type Per string

// What a price can be for, in USD per hour.
const (
	PerMachine Per = "machine"
	PerDevice  Per = "device" // one accelerator; a share of one counts as that share
	PerGiB     Per = "gib"    // one GiB of device memory
	PerTFLOP   Per = "tflop"  // one TFLOP/s of dense bf16, as in the vendor's data sheet
)

// Pers lists them.
func Pers() []Per { return []Per{PerMachine, PerDevice, PerGiB, PerTFLOP} }

// Amount is how much of it the offer's machine has; 0 when it has none or it is not
// published.
func (p Per) Amount(o purser.Offer) float64 {
	switch p {
	case PerMachine:
		return 1
	case PerDevice:
		return o.Devices.Devices()
	case PerGiB:
		return o.Devices.Devices() * float64(o.DeviceMemoryMiB) / 1024
	case PerTFLOP:
		a, _ := purser.AcceleratorNamed(o.Accelerator)
		return o.Devices.Devices() * a.BF16TFLOPS
	default:
		return 0
	}
}

// Of is the offer's price for one of it, in USD per hour; +Inf when the machine has none.
func (p Per) Of(o purser.Offer) float64 {
	n := p.Amount(o)
	if n == 0 {
		return math.Inf(1)
	}
	return o.UnitPrice.USD() / n
}

// Rank sorts offers by the price for one of per, cheapest first. Machines that have none
// of it come last, the cheapest machine first.
func Rank(offers []purser.Offer, per Per) {
	type ranked struct {
		price float64
		id    purser.OfferID
		offer purser.Offer
	}
	list := make([]ranked, len(offers))
	for i, o := range offers {
		list[i] = ranked{per.Of(o), o.ID(), o}
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.price, b.price), cmp.Compare(a.offer.UnitPrice, b.offer.UnitPrice), cmp.Compare(a.id, b.id))
	})
	for i, r := range list {
		offers[i] = r.offer
	}
}

// ShapesOf tells the shapes of the types that offers name.
func ShapesOf(offers []purser.Offer) func(provider, instanceType string) (purser.Shape, bool) {
	type key struct{ provider, instanceType string }
	shapes := map[key]purser.Shape{}
	for _, o := range offers {
		shapes[key{o.Provider, o.InstanceType}] = o.Shape
	}
	return func(provider, instanceType string) (purser.Shape, bool) {
		s, ok := shapes[key{provider, instanceType}]
		return s, ok
	}
}

// Step is the cheapest of several offers from a moment on, until the next step.
type Step struct {
	From  time.Time
	Offer purser.OfferID // empty: none could be had
	Price float64        // USD per hour for one of what was asked for
}

// Cheapest gives the lower envelope of offers' histories over [from, to): a step
// whenever the cheapest offer or its price changes. amount says how much of what the
// price is for an offer's machine has; offers with 0 are left out. Points of an offer are
// in order of time; of equals the offer with the smaller id is given. It takes
// O(n log n) for n points.
func Cheapest(points map[purser.OfferID][]purser.PricePoint, amount func(purser.OfferID) float64, from, to time.Time) []Step {
	type change struct {
		at    time.Time
		offer purser.OfferID
		price float64 // +Inf: gone
	}
	var changes []change
	for id, list := range points {
		n := amount(id)
		if n == 0 {
			continue
		}
		for _, p := range list {
			if !p.From.Before(to) {
				continue
			}
			price := p.UnitPrice.USD() / n
			if p.Gone {
				price = math.Inf(1)
			}
			at := p.From
			if at.Before(from) {
				at = from
			}
			changes = append(changes, change{at, id, price})
		}
	}
	// Stable, so that of points before from the last one of an offer counts.
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.offer, b.offer)) })
	now := map[purser.OfferID]float64{}
	var queue stepHeap
	var out []Step
	for i, c := range changes {
		now[c.offer] = c.price
		if !math.IsInf(c.price, 1) {
			heap.Push(&queue, Step{Offer: c.offer, Price: c.price})
		}
		if i+1 < len(changes) && changes[i+1].at.Equal(c.at) {
			continue
		}
		for len(queue) > 0 && now[queue[0].Offer] != queue[0].Price {
			heap.Pop(&queue) // it costs something else by now
		}
		best := Step{From: c.at}
		if len(queue) > 0 {
			best.Offer, best.Price = queue[0].Offer, queue[0].Price
		}
		if n := len(out); n == 0 && best.Offer != "" || n > 0 && (out[n-1].Offer != best.Offer || out[n-1].Price != best.Price) {
			out = append(out, best)
		}
	}
	return out
}

// stepHeap has the cheapest step first.
type stepHeap []Step

func (h stepHeap) Len() int { return len(h) }
func (h stepHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].Price, h[j].Price), cmp.Compare(h[i].Offer, h[j].Offer)) < 0
}
func (h stepHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *stepHeap) Push(x any)   { *h = append(*h, x.(Step)) } //nolint:forcetypeassert,errcheck // only steps are pushed
func (h *stepHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
