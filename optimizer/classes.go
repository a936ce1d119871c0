package optimizer

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"purser"
)

func durationOf(ns int64) time.Duration { return time.Duration(ns) }

// classKind says what one unit of a class is.
type classKind byte

const (
	kindSingle  classKind = iota // a replica
	kindGang                     // n replicas of one variant in one zone
	kindService                  // replicas that serve a rate
)

// class is a set of units that are equal to the search.
type class struct {
	kind     classKind
	level    int  // of priority; 0 goes first
	sizes    bool // gangs, and the plan decides how many replicas each has
	variants []variant
	members  []member
	least    int64       // replicas that a unit needs at the least
	spare    int64       // of these, those that must lie outside any one domain
	plain    bool        // it needs nothing but a number of replicas, wherever they are
	need     serviceNeed // of a service
	standing []rated     // replicas of a service that stay
	apart    *apart      // how its group is kept apart; nil: it is not
	kinds    []machineKind
	exact    bool // the kinds say all that there is to say
}

// variant is a way to run a replica of a class.
type variant struct {
	name   string
	size   amounts
	span   int64   // ns within the horizon
	rate   float64 // of a service
	gang   int64   // replicas of a unit that is run this way; 1 for single ones and services
	item   int32   // its index in Problem.items
	places []int32 // where it can run, ascending
	extra  []int64 // nano-USD a replica beside its machine, by place: for its data, and for waiting
	begin  int     // of a gang, which begins together: the number of the start time
	most   int64   // copies that are of use on one machine, all units together
	kind   int     // of the class's machine kinds, from 1; 0: none
}

// hopeless is what cannot be placed whatever is bought.
type hopeless struct {
	raw      *rawGroup
	replicas int // of each member
	reason   string
}

func (c *class) units() int64 { return int64(len(c.members)) }

// replicas is the least number of replicas that the class needs.
func (c *class) replicas() int64 { return c.least * c.units() }

// buildClasses turns raw groups into classes, merging those that the filters leave equal.
func (p *Problem) buildClasses() {
	var priorities []int
	for _, g := range p.raws {
		priorities = append(priorities, g.priority)
	}
	slices.Sort(priorities)
	priorities = slices.Compact(priorities)
	p.levels = len(priorities)
	services := 0
	for _, g := range p.raws {
		if g.group.Kind == purser.Inference {
			services += len(g.members)
		}
	}
	index := map[string]int{}
	for _, g := range p.raws {
		at, _ := slices.BinarySearch(priorities, g.priority)
		c, ok := p.classOf(g, len(priorities)-1-at)
		if !ok {
			continue
		}
		apart := c.kind == kindService && !c.plain && services <= fewServices || c.need.machines
		if apart || len(c.standing) > 0 {
			for _, m := range c.members {
				one := c
				one.members = []member{m}
				p.classes = append(p.classes, one)
			}
			continue
		}
		key := c.key()
		if g.group.Spread.Level != purser.DomainNone {
			key += fmt.Sprint(g.members[0].key)
		}
		if known, ok := index[key]; ok {
			p.classes[known].members = append(p.classes[known].members, c.members...)
			continue
		}
		index[key] = len(p.classes)
		p.classes = append(p.classes, c)
	}
	p.buildApart()
	p.numberItems()
}

// fewServices is up to how many services each has rows of its own, which are exact; more are merged with their likes.
const fewServices = 16

// numberItems gives every variant of every class its item, and its use in one domain.
func (p *Problem) numberItems() {
	for c := range p.classes {
		cl := &p.classes[c]
		slices.SortFunc(cl.members, func(a, b member) int {
			if a.key != b.key {
				return compareKeys(a.key, b.key)
			}
			return slices.Compare(a.replicas, b.replicas)
		})
		cl.variants = slices.Clone(cl.variants)
		for v := range cl.variants {
			vt := &cl.variants[v]
			vt.item = int32(len(p.items))
			vt.most = cl.least
			if cl.kind == kindGang {
				vt.most = vt.gang
			}
			if cl.kind == kindService && vt.rate > 0 {
				vt.most = max(vt.most, int64(math.Ceil(cl.need.rate/vt.rate-rateSlack)))
			}
			vt.most = max(1, vt.most) * cl.units()
			if vt.kind > 0 {
				vt.most = min(vt.most, max(1, ceilDiv(cl.kinds[vt.kind-1].hi, vt.rate)))
			}
			if cl.apart != nil && cl.apart.machines {
				vt.most = min(vt.most, cl.apart.mostOnMachine())
			}
			p.lateSpan = max(p.lateSpan, vt.span)
			p.items = append(p.items, item{class: c, variant: v, size: vt.size, span: vt.span})
		}
	}
}

func compareKeys(a, b groupKey) int {
	if a.job != b.job {
		return a.job - b.job
	}
	return a.group - b.group
}

// classOf makes the class of one raw group; ok is false when nothing of it needs or can have a place.
func (p *Problem) classOf(g *rawGroup, level int) (c class, ok bool) {
	c = class{kind: kindSingle, level: level, members: g.members}
	gang := int64(1)
	switch {
	case g.group.Kind == purser.Inference:
		c.kind, c.need = kindService, needOf(g.group)
	case g.n > 1:
		c.kind, gang = kindGang, g.n
	case g.n == 0:
		c.settleSizes(g.ways)
	}
	for i := range g.ways {
		w := g.ways[i]
		if g.n > 0 || c.kind == kindService {
			w.n = gang
		}
		if len(g.fits[i]) == 0 {
			continue
		}
		c.variants = append(c.variants, p.variantsOf(g, &w, g.fits[i])...)
	}
	if c.kind == kindService {
		return c, p.measure(g, &c)
	}
	if len(c.variants) == 0 {
		p.hopeless = append(p.hopeless, hopeless{g, int(max(g.n, c.least, 1)), p.refusalSentence(g)})
		return c, false
	}
	c.least, c.plain = max(g.n, c.least), c.kind == kindSingle
	return c, true
}

// variantsOf makes the variants of one way to run: one for each time that a run takes, which differs between places by their hazards.
// A gang runs on machines where it takes the same time, and begins on all of them at once.
func (p *Problem) variantsOf(g *rawGroup, w *way, places []int32) []variant {
	var out []variant
	v := w.of()
	for _, at := range places {
		pl := &p.places[at]
		_, span := p.spans(w.group, v, g.left, pl.machine)
		i := slices.IndexFunc(out, func(vt variant) bool { return vt.span == span && (w.n <= 1 || vt.begin == pl.begin) })
		if i < 0 {
			i = len(out)
			out = append(out, variant{name: v.Name, size: sizeOf(v), span: span, rate: rateOf(g.group, v), gang: w.n, begin: pl.begin})
		}
		out[i].places = append(out[i].places, at)
		out[i].extra = append(out[i].extra, p.extraCost(g.group, &pl.offer, span)+waitWorth(pl.offer, out[i].size, pl.from))
	}
	return out
}

// key writes everything that the search sees of the class but its members.
func (c *class) key() string {
	var b []byte
	num := func(ns ...int64) {
		for _, n := range ns {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
	}
	num(int64(c.kind), int64(c.level), c.least, c.spare, c.need.min, c.need.max, int64(c.need.level), int64(c.need.failures),
		int64(math.Float64bits(c.need.rate)), int64(math.Float64bits(c.need.keep)))
	for i := range c.variants {
		v := &c.variants[i]
		b = append(append(b, v.name...), 0)
		num(v.size[0], v.size[1], v.size[2], v.span, v.gang, int64(math.Float64bits(v.rate)), int64(len(v.places)))
		for k, at := range v.places {
			num(int64(at))
			if v.extra[k] != 0 {
				num(-1, v.extra[k])
			}
		}
	}
	return string(b)
}

// name says which group a class is about, for messages.
func (p *Problem) name(k groupKey) string {
	return fmt.Sprintf("%s/%s", p.jobs[k.job].ID, p.jobs[k.job].Groups[k.group].Name)
}
