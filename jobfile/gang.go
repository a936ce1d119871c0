package jobfile

import (
	"cmp"
	"slices"
	"strconv"

	"purser"
)

// gangFields say how many replicas a training group has, and how well they work
// together.
func gangFields() []field[group] {
	return []field[group]{
		{"replicas", func(r *reader, g *group, v value) error { return readReplicas(r, g, v) }},
		{"gang", func(_ *reader, g *group, v value) (err error) { g.noun.Gang, err = v.boolean(); return }},
		{"scaling", func(r *reader, g *group, v value) error { return readScaling(r, &g.noun.Scaling, v) }},
	}
}

// sizes is a range of sizes of a gang.
type sizes struct{ least, most int }

var sizesTable = table[sizes]{what: "a range of replicas", fields: []field[sizes]{
	{"min", func(_ *reader, s *sizes, v value) (err error) {
		s.least, err = v.integer(1, purser.MaxReplicasPerGroup)
		return
	}},
	{"max", func(_ *reader, s *sizes, v value) (err error) {
		s.most, err = v.integer(1, purser.MaxReplicasPerGroup)
		return
	}},
}}

// readReplicas reads 4, [2, 4, 8] or {min: 2, max: 16}: of several numbers the plan
// chooses one.
func readReplicas(r *reader, g *group, v value) error {
	switch {
	case v.isMapping():
		var s sizes
		w, err := sizesTable.read(r, v, &s)
		switch {
		case err != nil:
			return err
		case !w.has("min") || !w.has("max"):
			return v.fail("write {min: 2, max: 16}", "a range of replicas has a min and a max")
		case s.most < s.least:
			return w["max"].fail("", "the most replicas, %d, are fewer than the least, %d", s.most, s.least)
		case s.most-s.least >= purser.MaxSizesPerGroup:
			return v.fail("write a list of the sizes that matter, such as [2, 4, 8, 16]", "a range has at most %d sizes", purser.MaxSizesPerGroup)
		}
		for n := s.least; n <= s.most; n++ {
			g.noun.Sizes = append(g.noun.Sizes, n)
		}
	case v.isList():
		for _, item := range v.items() {
			n, err := item.integer(1, purser.MaxReplicasPerGroup)
			if err != nil {
				return err
			}
			if slices.Contains(g.noun.Sizes, n) {
				return item.fail("", "%d stands twice in the list", n)
			}
			g.noun.Sizes = append(g.noun.Sizes, n)
		}
		if len(g.noun.Sizes) == 0 {
			return v.fail("", "the list of sizes is empty")
		}
		slices.Sort(g.noun.Sizes)
	default:
		var err error
		g.noun.Replicas, err = v.integer(0, purser.MaxReplicasPerGroup)
		return err
	}
	g.noun.Replicas = g.noun.Sizes[0]
	if len(g.noun.Sizes) == 1 {
		g.noun.Sizes = nil
	}
	return nil
}

// communication is the form of scaling that needs no measuring but of one share.
var communicationTable = table[purser.Scaling]{what: "scaling", fields: []field[purser.Scaling]{
	{"communication", func(_ *reader, s *purser.Scaling, v value) (err error) { s.Communication, err = v.share(1); return }},
}}

// readScaling reads {communication: 5%} or efficiencies by replicas, {2: 0.95, 8: 0.8}.
func readScaling(r *reader, s *purser.Scaling, v value) error {
	const hint = "write {2: 0.95, 8: 0.8}, efficiencies by replicas, or {communication: 0.05}"
	if !v.isMapping() {
		return v.wrong("scaling", hint)
	}
	pairs := v.pairs()
	if len(pairs) == 0 {
		return v.fail(hint, "scaling says nothing")
	}
	if _, err := strconv.Atoi(pairs[0].name); err != nil {
		_, err := communicationTable.read(r, v, s)
		return err
	}
	for _, p := range pairs {
		n, err := strconv.Atoi(p.name)
		if err != nil || n < 1 || n > purser.MaxReplicasPerGroup {
			return p.key.fail(hint, "%q is not a number of replicas", clip(p.name))
		}
		e, err := p.share(1)
		if err == nil && e == 0 {
			err = p.fail("", "an efficiency must be above 0")
		}
		if err != nil {
			return err
		}
		s.Points = append(s.Points, purser.ScalingPoint{Replicas: n, Efficiency: e})
	}
	slices.SortFunc(s.Points, func(a, b purser.ScalingPoint) int { return cmp.Compare(a.Replicas, b.Replicas) })
	return nil
}

// settleGang makes a gang of what has several sizes, unless the file says otherwise,
// which Check then refuses.
func (g *group) settleGang() {
	if g.noun.Varies() && !g.written.has("gang") {
		g.noun.Gang = true
	}
}

// needsWork refuses run times where the number of replicas is not settled, or is said
// to matter: a run time is that of one number.
func (g *group) needsWork() error {
	if g.written.has("work") {
		return nil
	}
	for _, name := range []string{"scaling", "replicas"} {
		if g.noun.Scaling.Given() && name == "scaling" || len(g.noun.Sizes) > 0 && name == "replicas" {
			return g.written[name].fail("add work, and a throughput for each variant", "how long it runs depends on the number of replicas, so a run time does not say it")
		}
	}
	return nil
}

// readAfter reads the name of a group, or a list of them.
func readAfter(v value) ([]string, error) {
	items := v.items()
	if len(items) == 0 {
		return nil, v.fail("leave the field out", "the list is empty")
	}
	out := make([]string, len(items))
	for i, item := range items {
		var err error
		if out[i], err = item.name("a group"); err != nil {
			return nil, err
		}
	}
	return out, nil
}
