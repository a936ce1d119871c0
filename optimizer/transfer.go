package optimizer

import (
	"encoding/binary"
	"math"
)

// What services are committed to is not final while a dive goes on: a transfer takes a replica from one target to another of its class, as
// far as services still serve and survive with it. The program of a dive has a column for each kind of transfer, so that machines are
// filled and limits kept by moving what can be moved.

// transfer moves replicas of a class's services from one variant and domain to another.
type transfer struct {
	class    int
	from, to massKey
	a, b     int32 // their targets
	at       int32 // the solver's column
}

// transfersTo is to how many other places a replica is offered.
const transfersTo = 6

// findTransfers lists the transfers of the classes that the packing needs replicas of. It makes targets where there are none yet.
func (k *packing) findTransfers() []transfer {
	classes := map[int]bool{}
	for tg, n := range k.need {
		if c := int(k.t.list[tg].class); n > 0 && k.p.classes[c].kind == kindService && !k.p.classes[c].plain {
			classes[c] = true
		}
	}
	var out []transfer
	for c := range k.p.classes {
		if classes[c] {
			out = append(out, k.transfersOf(c)...)
		}
	}
	return out
}

// transfersOf lists the transfers of one class: from each place with a need to the places of about its cost.
func (k *packing) transfersOf(c int) []transfer {
	keys := k.p.keysByCost(c)
	var out []transfer
	for tg := range k.t.list {
		t := &k.t.list[tg]
		if int(t.class) != c || tg >= len(k.need) || k.need[tg] <= 0 {
			continue
		}
		from := massKey{int(t.variant), t.domain}
		offered := 0
		for _, to := range keys {
			if to == from || k.canMove(c, from, to) == 0 {
				continue
			}
			out = append(out, transfer{class: c, from: from, to: to, a: int32(tg), b: k.ensure(c, to.variant, to.domain)})
			if offered++; offered == transfersTo {
				break
			}
		}
	}
	return out
}

// canMove is how many services could give up a replica at one place for one at another.
func (k *packing) canMove(c int, from, to massKey) int64 {
	n := int64(0)
	known := map[string]bool{}
	for _, cfg := range k.t.configs[c] {
		key := cfg.key()
		ok, seen := known[key]
		if !seen {
			ok = k.movable(c, cfg, from, to)
			known[key] = ok
		}
		if ok {
			n++
		}
	}
	return n
}

func (k *packing) movable(c int, cfg config, from, to massKey) bool {
	cl := &k.p.classes[c]
	return cfg.of(from.variant, from.domain) > 0 && cl.need.met(cl.rated(cfg.move(from.variant, from.domain, to)))
}

// key tells configurations apart.
func (c config) key() string {
	b := make([]byte, 0, 16*len(c))
	for _, p := range c {
		b = binary.LittleEndian.AppendUint32(b, uint32(p.variant))
		b = binary.LittleEndian.AppendUint32(b, uint32(p.domain))
		b = binary.LittleEndian.AppendUint64(b, uint64(p.n))
	}
	return string(b)
}

// move makes one transfer; false when no service can.
func (k *packing) move(t *transfer) bool {
	if k.need[t.a] <= 0 {
		return false
	}
	for i, cfg := range k.t.configs[t.class] {
		if k.movable(t.class, cfg, t.from, t.to) {
			k.t.configs[t.class][i] = cfg.move(t.from.variant, t.from.domain, t.to)
			k.need[t.a]--
			k.need[t.b]++
			return true
		}
	}
	return false
}

// back takes a transfer back, which leaves the needs as they were and some services in another of their choices.
func (k *packing) back(t *transfer) bool {
	r := transfer{class: t.class, from: t.to, to: t.from, a: t.b, b: t.a}
	return k.move(&r)
}

// moves is how often a transfer can be made now.
func (k *packing) moves(t *transfer) int64 {
	if k.need[t.a] <= 0 {
		return 0
	}
	return min(k.canMove(t.class, t.from, t.to), k.need[t.a])
}

// addTransfers adds the columns: Σ a·x + Σ out − Σ in ≥ need.
func (d *dive) addTransfers() error {
	d.slack = make([]int64, len(d.k.need))
	for i := range d.transfers {
		t := &d.transfers[i]
		most := d.k.moves(t)
		// A trace of cost keeps transfers from being made for nothing.
		at, err := d.addOther(1e-4, 0, float64(most), []int32{d.rowOf[t.a], d.rowOf[t.b]}, []float64{1, -1})
		if err != nil {
			return err
		}
		t.at = at
		d.slack[t.b] += most
	}
	return nil
}

// transferValue is how many of a transfer the last solution makes.
func (d *dive) transferValue(t *transfer) float64 {
	if int(t.at) < len(d.last.ColValue) {
		return d.last.ColValue[t.at]
	}
	return 0
}

// applyTransfers makes the whole part of every transfer.
func (d *dive) applyTransfers() {
	for i := range d.transfers {
		t := &d.transfers[i]
		for range int64(math.Floor(d.transferValue(t) + 1e-6)) {
			if !d.k.move(t) {
				break
			}
			d.last.ColValue[t.at]--
		}
	}
}

// pull makes transfers to a column's targets until it can be put once, those first that the last solution makes most of. It takes them
// back when they do not suffice.
func (d *dive) pull(c *column) bool {
	want, ok := d.k.wanted(c)
	if !ok || d.k.has(c.site) <= 0 {
		return false
	}
	var made []*transfer
	for _, w := range want {
		for d.k.need[w.item] < w.n {
			t := d.bestTo(w.item, made)
			if t == nil {
				for i := len(made) - 1; i >= 0; i-- {
					d.k.back(made[i])
				}
				return false
			}
			made = append(made, t)
		}
	}
	for _, t := range made {
		d.last.ColValue[t.at] = math.Max(0, d.last.ColValue[t.at]-1)
	}
	return true
}

// bestTo makes one transfer to a target, the one with the largest part left, and returns it; nil when there is none.
func (d *dive) bestTo(tg int32, made []*transfer) *transfer {
	var best *transfer
	most := 1e-6
	for i := range d.transfers {
		t := &d.transfers[i]
		if t.b != tg {
			continue
		}
		x := d.transferValue(t)
		for _, m := range made {
			if m == t {
				x--
			}
		}
		if x > most && d.k.need[t.a] > 0 {
			best, most = t, x
		}
	}
	if best == nil || !d.k.move(best) {
		return nil
	}
	return best
}

// boundTransfers tells the solver what can still be transferred.
func (d *dive) boundTransfers() error {
	if len(d.transfers) == 0 {
		return nil
	}
	at, upper := make([]int32, len(d.transfers)), make([]float64, len(d.transfers))
	clear(d.slack)
	for i := range d.transfers {
		t := &d.transfers[i]
		most := d.k.moves(t)
		at[i], upper[i] = t.at, float64(most)
		d.slack[t.b] += most
	}
	return d.solver.ChangeColBounds(at, make([]float64, len(at)), upper)
}
