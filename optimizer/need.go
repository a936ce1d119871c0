package optimizer

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"purser"
)

// serviceNeed is what one inference group must have, in the rates of its variants.
type serviceNeed struct {
	min, max int64   // replicas; max 0: no maximum
	rate     float64 // together
	keep     float64 // outside any one domain of the level
	level    int     // index in domainLevels; -1: nothing has to survive
}

// rateSlack is the relative error that sums of rates may have.
const rateSlack = 1e-9

// need reads an inference group. Without a demand the replicas themselves are what is counted: each has rate 1.
func needOf(g *purser.TaskGroup) serviceNeed {
	n := serviceNeed{min: int64(g.Replicas), max: int64(g.MaxReplicas), level: -1}
	served := float64(g.Replicas)
	if g.Demand > 0 {
		served = g.Demand
		n.rate = g.Demand * (1 + g.Headroom)
	}
	if l := levelIndex(g.Survive.Level); l >= 0 && g.Survive.Share > 0 {
		n.level, n.keep = l, g.Survive.Share*served
	}
	return n
}

// rateOf is what a replica of v adds to the rate of its group.
func rateOf(g *purser.TaskGroup, v purser.Variant) float64 {
	if g.Kind != purser.Inference {
		return 0
	}
	if g.Demand == 0 {
		return 1
	}
	return v.Throughput
}

// rated is so many replicas of a service as its need sees them.
type rated struct {
	rate   float64
	domain int32
	n      int64
}

// met says whether the replicas serve the need; the maximum is not looked at.
func (n serviceNeed) met(replicas []rated) bool {
	count, total := int64(0), 0.0
	for _, r := range replicas {
		count += r.n
		total += r.rate * float64(r.n)
	}
	if count < n.min || total < n.rate*(1-rateSlack) {
		return false
	}
	if n.level < 0 {
		return true
	}
	_, most := heaviest(replicas)
	return total-most >= n.keep*(1-rateSlack)
}

// heaviest is the domain with the largest rate, and that rate.
func heaviest(replicas []rated) (int32, float64) {
	in := make(map[int32]float64, len(replicas))
	for _, r := range replicas {
		in[r.domain] += r.rate * float64(r.n)
	}
	domain, most := int32(-1), 0.0
	for _, r := range replicas {
		if sum := in[r.domain]; sum > most {
			domain, most = r.domain, sum
		}
	}
	return domain, most
}

// ceilDiv is ⌈a/g⌉ with rateSlack.
func ceilDiv(a, g float64) int64 { return int64(math.Ceil(a/g - rateSlack)) }

// measure says how many replicas a service needs at the least beyond its base. It is false when it needs none, or can have none.
func (p *Problem) measure(g *rawGroup, c *class) bool {
	c.standing = p.standingOf(g, c)
	if c.need.met(c.standing) {
		return false
	}
	if len(c.variants) == 0 {
		p.hopeless = append(p.hopeless, hopeless{g, p.shortOf(g, c.need, c.standing), p.refusalSentence(g)})
		return false
	}
	slowest, fastest := math.Inf(1), 0.0
	for i := range c.variants {
		slowest, fastest = math.Min(slowest, c.variants[i].rate), math.Max(fastest, c.variants[i].rate)
	}
	domains := p.countDomains(c)
	if c.need.level >= 0 && domains < 2 {
		p.hopeless = append(p.hopeless, hopeless{g, int(ceilDiv(c.need.keep, fastest)), fmt.Sprintf(
			"its demand is served, but nothing can survive the loss of a %s: its offers lie in one alone", domainLevels[c.need.level])})
		c.need.level, c.need.keep = -1, 0
	}
	p.capNeed(g, c, fastest, domains)
	if c.need.met(c.standing) {
		return false
	}
	have, rate := int64(0), 0.0
	for _, r := range c.standing {
		have, rate = have+r.n, rate+r.rate*float64(r.n)
	}
	c.least = max(c.need.min-have, ceilDiv(c.need.rate-rate, fastest))
	if c.need.level >= 0 {
		_, most := heaviest(c.standing)
		c.spare = max(0, ceilDiv(c.need.keep-(rate-most), fastest))
		if len(c.standing) == 0 {
			// With one domain lost of so many, spare are left, so all together are at least spare + ⌈spare/(domains−1)⌉.
			c.least = max(c.least, c.spare+(c.spare+int64(domains)-2)/(int64(domains)-1))
		}
	}
	c.least = max(c.least, c.spare, 1)
	c.plain = slowest == fastest && c.need.level < 0 && len(c.standing) == 0
	return true
}

// capNeed lowers a need that the largest number of replicas cannot meet, given those that stay where they are, to what it can.
func (p *Problem) capNeed(g *rawGroup, c *class, fastest float64, domains int) {
	if c.need.max == 0 {
		return
	}
	have, rate := int64(0), 0.0
	for _, r := range c.standing {
		have, rate = have+r.n, rate+r.rate*float64(r.n)
	}
	more := max(0, c.need.max-have)
	most := rate + float64(more)*fastest
	keep := c.need.keep
	if c.need.level >= 0 {
		keep = math.Min(keep, c.survivable(more, fastest, domains))
	}
	short := max(ceilDiv(c.need.rate-most, fastest), ceilDiv(c.need.keep-keep, fastest))
	if short <= 0 {
		return
	}
	c.need.rate, c.need.keep = math.Min(c.need.rate, most), keep
	sentence := fmt.Sprintf("its demand needs more than its %d replicas at most", c.need.max)
	if len(c.standing) > 0 {
		sentence += ", where they run now"
	}
	p.hopeless = append(p.hopeless, hopeless{g, int(short), sentence})
}

// survivable is the largest rate that can be left after the loss of any one of so many domains, with so many replicas of a rate beside
// those that stay: each goes to where the least is.
func (c *class) survivable(more int64, rate float64, domains int) float64 {
	in := map[int32]float64{}
	total := float64(more) * rate
	for _, r := range c.standing {
		in[r.domain] += r.rate * float64(r.n)
		total += r.rate * float64(r.n)
	}
	loads := slices.Sorted(maps.Values(in))
	for len(loads) < domains {
		loads = append([]float64{0}, loads...)
	}
	for range more {
		least := 0
		for i := range loads {
			if loads[i] < loads[least] {
				least = i
			}
		}
		loads[least] += rate
	}
	return total - slices.Max(loads)
}

// standingOf reads the replicas of a service that stay. One of a variant that the group does not know any more serves nobody.
func (p *Problem) standingOf(g *rawGroup, c *class) []rated {
	var out []rated
	for _, b := range g.base {
		if b.variant < 0 {
			continue
		}
		r := rated{rate: rateOf(g.group, g.group.Variants[b.variant]), domain: -1, n: 1}
		if c.need.level >= 0 {
			r.domain = b.domain[c.need.level]
		}
		out = append(out, r)
	}
	return out
}

// countDomains is how many domains of the need's level the class can use, its base included.
func (p *Problem) countDomains(c *class) int {
	if c.need.level < 0 {
		return 0
	}
	seen := map[int32]bool{}
	for i := range c.variants {
		for _, at := range c.variants[i].places {
			seen[p.places[at].domain[c.need.level]] = true
		}
	}
	for _, r := range c.standing {
		seen[r.domain] = true
	}
	return len(seen)
}

// shortOf is how many replicas of the best variant a service lacks that can have none.
func (p *Problem) shortOf(g *rawGroup, need serviceNeed, base []rated) int {
	fastest, total := 0.0, 0.0
	for _, v := range g.group.Variants {
		fastest = max(fastest, rateOf(g.group, v))
	}
	have := int64(0)
	for _, r := range base {
		total += r.rate * float64(r.n)
		have += r.n
	}
	short := max(need.min-have, 0)
	if fastest > 0 {
		short = max(short, ceilDiv(need.rate-total, fastest))
		if _, most := heaviest(base); need.level >= 0 && total-most < need.keep*(1-rateSlack) {
			// What is added can be lost, too: at the best one replica with each domain.
			short = max(short, ceilDiv(need.keep-(total-max(most, fastest)), fastest))
		}
	}
	return int(max(short, 1))
}
