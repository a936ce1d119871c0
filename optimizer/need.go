package optimizer

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"purser"
)

// serviceNeed is what one inference group must have, in the rates of its variants.
type serviceNeed struct {
	min, max int64   // replicas; max 0: no maximum
	rate     float64 // together
	keep     float64 // outside any so many domains of the level
	failures int
	level    int  // index in domainLevels; -1: nothing has to survive, or machines
	machines bool // the domains are machines
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
	if g.Survive.Level != purser.DomainNone && g.Survive.Share > 0 {
		n.level, n.machines = levelIndex(g.Survive.Level), g.Survive.Level == purser.DomainMachine
		n.keep, n.failures = g.Survive.Share*served, g.Survive.Lost()
	}
	return n
}

// survives says whether something may be lost.
func (n serviceNeed) survives() bool { return n.level >= 0 || n.machines }

// careless is the need without what has to survive.
func (n serviceNeed) careless() serviceNeed {
	n.level, n.machines, n.keep, n.failures = -1, false, 0, 0
	return n
}

// domainOn is the domain that a replica counts for: that of its place at the level, or its machine, which is numbered from 1.
func (n serviceNeed) domainOn(d domainIDs, machine int) int32 {
	switch {
	case n.machines:
		return int32(machine)
	case n.level >= 0:
		return d[n.level]
	}
	return -1
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

// met says whether the replicas serve the need; the maximum is not looked at.
func (n serviceNeed) met(replicas []rated) bool {
	count, total := sum(replicas)
	switch {
	case count < n.min || total < n.rate*(1-rateSlack):
		return false
	case n.machines:
		return n.survivesMachines(replicas)
	case n.level < 0:
		return true
	}
	_, lost := heaviest(replicas, n.failures)
	return total-lost >= n.keep*(1-rateSlack)
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
	if c.need.survives() && c.need.failures >= p.lossable(c) {
		if p.lossable(c) > 0 && !p.canBeSafe(c) {
			p.hopeless = append(p.hopeless, hopeless{g, int(ceilDiv(c.need.keep, fastest)), hopelessSentence(g.group.Survive, p.lossable(c))})
			c.need = c.need.careless()
		}
		if p.lossable(c) == 0 {
			c.need = c.need.careless() // what its rate asks for cannot be lost
		}
	}
	p.capNeed(g, c, fastest)
	if c.need.survives() && c.need.keep <= 0 {
		c.need = c.need.careless() // with so few replicas nothing would be left
	}
	if c.need.met(c.standing) {
		return false
	}
	have, rate := sum(c.standing)
	c.least = max(c.need.min-have, ceilDiv(c.need.rate-rate, fastest))
	if c.need.survives() {
		_, lost := heaviest(c.standing, c.need.failures)
		c.spare = max(0, ceilDiv(c.need.keep-(rate-lost), fastest))
		if c.spare > 0 && len(c.standing) == 0 && !p.canBeSafe(c) {
			// With k domains lost of so many, spare are left: each that is lost has one at the least, and k of D have a k/D of all.
			k, left := int64(c.need.failures), int64(p.lossable(c)-c.need.failures)
			c.least = max(c.least, c.spare+max(k, (c.spare*k+left-1)/left))
		}
	}
	c.least = max(c.least, c.spare, 1)
	c.plain = slowest == fastest && !c.need.survives() && len(c.standing) == 0
	if c.need.machines {
		p.splitByMachines(c)
	}
	return true
}

// levelWord names a level in a sentence.
func levelWord(l purser.DomainLevel) string { return strings.ReplaceAll(string(l), "_", " ") }

// hopelessSentence says that too few domains are there for what has to survive.
func hopelessSentence(s purser.Survive, domains int) string {
	level, lost, in := levelWord(s.Level), "of a ", "one"
	if s.Lost() > 1 {
		lost, level = fmt.Sprintf("of %d ", s.Lost()), level+"s"
	}
	if domains > 1 {
		in = strconv.Itoa(domains)
	}
	return fmt.Sprintf("its demand is served, but nothing can survive the loss %s%s: its offers lie in %s alone", lost, level, in)
}

// capNeed lowers a need that the largest number of replicas cannot meet, given those that stay where they are, to what it can.
func (p *Problem) capNeed(g *rawGroup, c *class, fastest float64) {
	if c.need.max == 0 {
		return
	}
	have, rate := sum(c.standing)
	more := max(0, c.need.max-have)
	most := rate + float64(more)*fastest
	keep := c.need.keep
	if c.need.survives() {
		keep = math.Min(keep, p.survivable(c, more, fastest))
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

// survivable is the largest rate that can be left after the losses, with so many replicas of a rate beside those that stay: each goes to
// where it cannot be lost, or else to where the least is.
func (p *Problem) survivable(c *class, more int64, rate float64) float64 {
	in := map[int32]float64{}
	for _, r := range c.standing {
		if r.domain > safe {
			in[r.domain] += r.rate * float64(r.n)
		}
	}
	loads := slices.Sorted(maps.Values(in))
	_, total := sum(c.standing)
	total += float64(more) * rate
	if p.canBeSafe(c) {
		return total - topSum(loads, c.need.failures)
	}
	for len(loads) < p.lossable(c) && len(loads) < len(in)+int(more) {
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
	return total - topSum(loads, c.need.failures)
}

// standingOf reads the replicas of a service that stay. One of a variant that the group does not know any more serves nobody.
func (p *Problem) standingOf(g *rawGroup, c *class) []rated {
	var out []rated
	for _, b := range g.base {
		if b.variant < 0 {
			continue
		}
		out = append(out, rated{rate: rateOf(g.group, g.group.Variants[b.variant]), domain: c.need.domainOn(b.domain, b.held+1), n: 1})
	}
	return out
}

// lossable is how many domains of the need's level the class can use that can be lost, its base included.
func (p *Problem) lossable(c *class) int {
	if c.need.machines {
		return math.MaxInt32 // there is always another machine, but for limits
	}
	n := 0
	seen := p.domainsOpen(c)
	for _, r := range c.standing {
		seen[r.domain] = true
	}
	for d := range seen {
		if d > safe {
			n++
		}
	}
	return n
}

// canBeSafe says whether replicas that are to be placed can lie where nothing is lost.
func (p *Problem) canBeSafe(c *class) bool {
	return c.need.level >= placeLevels && p.domainsOpen(c)[safe]
}

// domainsOpen are the domains of the need's level where replicas can be placed.
func (p *Problem) domainsOpen(c *class) map[int32]bool {
	seen := map[int32]bool{}
	if c.need.level < 0 {
		return seen
	}
	for i := range c.variants {
		for _, at := range c.variants[i].places {
			seen[p.places[at].domain[c.need.level]] = true
		}
	}
	return seen
}

// shortOf is how many replicas of the best variant a service lacks that can have none.
func (p *Problem) shortOf(g *rawGroup, need serviceNeed, base []rated) int {
	fastest := 0.0
	for _, v := range g.group.Variants {
		fastest = max(fastest, rateOf(g.group, v))
	}
	have, total := sum(base)
	short := max(need.min-have, 0)
	if fastest > 0 {
		short = max(short, ceilDiv(need.rate-total, fastest))
		if list, lost := heaviest(base, need.failures); need.survives() && total-lost < need.keep*(1-rateSlack) {
			// What is added can be lost, too: at the best one replica with each domain.
			for _, l := range list {
				lost += max(0, fastest-l.rate)
			}
			lost += fastest * float64(need.failures-len(list))
			short = max(short, ceilDiv(need.keep-(total-lost), fastest))
		}
	}
	return int(max(short, 1))
}
