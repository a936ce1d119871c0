package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// fix rents machines as the last solution has them. Targets that can only be had where limits or quotas are go first, since what is left
// can still make room for them; then everything, the dearest machines first.
func (d *dive) fix() bool {
	if d.captive == nil {
		d.findCaptive()
	}
	d.applyTransfers()
	for _, only := range []bool{true, false} {
		if d.fixFloors(only) || d.roundUp(only) {
			return true
		}
	}
	return false
}

// findCaptive notes the targets without a machine that is not limited.
func (d *dive) findCaptive() {
	d.captive = make([]bool, len(d.k.need))
	open := make([]bool, len(d.k.need))
	for key, tg := range d.k.t.index {
		level := d.k.t.levels[d.p.items[key.item].class]
		for _, g := range d.p.groupsOf[key.item] {
			for _, s := range d.p.groups[g].sites {
				st := &d.p.sites[s]
				if st.limit < 0 && len(st.quotas) == 0 && (level < 0 || st.domain[level] == key.domain) {
					open[tg] = true
				}
			}
		}
	}
	for tg := range open {
		d.captive[tg] = !open[tg]
	}
}

// takes says whether a column may be fixed now: with only, when it holds something captive.
func (d *dive) takes(i int, only bool) bool {
	if d.isShut(i) {
		return false
	}
	return !only || slices.ContainsFunc(d.cols[i].pattern, func(n count) bool {
		tg := d.k.t.of(n.item, d.cols[i].site)
		return tg >= 0 && d.captive[tg] && d.k.need[tg] > 0
	})
}

// fixFloors rents the whole part of columns, the dearest first, up to a share of the machines that the program rents.
func (d *dive) fixFloors(only bool) bool {
	type whole struct {
		at int
		n  int64
	}
	var all []whole
	total := 0.0
	for i := range d.cols {
		if !d.takes(i, only) {
			continue
		}
		total += d.value(i)
		if n := int64(math.Floor(d.value(i) + 1e-6)); n > 0 {
			all = append(all, whole{i, n})
		}
	}
	slices.SortStableFunc(all, func(a, b whole) int { return cmp.Compare(d.cols[b.at].cost, d.cols[a.at].cost) })
	most := int64(math.Ceil(total * d.opts.share))
	if total < 50 || only {
		most = int64(total) + 1
	}
	fixed := int64(0)
	for _, w := range all {
		if fixed >= most {
			break
		}
		if n := min(w.n, d.k.times(&d.cols[w.at])); n > 0 {
			d.k.put(&d.cols[w.at], n)
			fixed += n
		}
	}
	return fixed > 0
}

// roundUp rents one machine more of up to a tenth of the fractional columns: the dearest of those of a half and more, or the largest.
func (d *dive) roundUp(only bool) bool {
	type part struct {
		at int
		x  float64
	}
	var parts []part
	for i := range d.cols {
		if x := d.value(i); x > 1e-6 && d.takes(i, only) {
			parts = append(parts, part{i, x})
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int {
		if (a.x >= 0.5) != (b.x >= 0.5) {
			return cmp.Compare(b.x, a.x)
		}
		return cmp.Compare(b.x*float64(d.cols[b.at].cost), a.x*float64(d.cols[a.at].cost))
	})
	put := 0
	for _, pt := range parts {
		if put > 0 && (pt.x < 0.5 || put >= (len(parts)+9)/10) {
			break
		}
		if d.k.times(&d.cols[pt.at]) > 0 || d.pull(&d.cols[pt.at]) {
			d.k.put(&d.cols[pt.at], 1)
			put++
		}
	}
	return put > 0
}
