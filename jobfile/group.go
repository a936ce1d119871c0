package jobfile

import (
	"fmt"
	"math"
	"slices"
	"time"

	"purser"
)

// group is a task group as it is read, before it becomes the noun.
type group struct {
	at      value
	written written
	noun    purser.TaskGroup // what needs no second thought goes straight here
	shape   shape
	entries []entry
	demand  rate
	model   purser.Model

	federated federated
	base      string // the name that the file gives it
	origins   []int  // for each variant of the noun, the entry that it came from
}

// commonFields may stand in every group.
func commonFields(variants table[entry]) []field[group] {
	fields := []field[group]{
		{"name", func(_ *reader, g *group, v value) (err error) { g.noun.Name, err = v.name("a group"); return }},
	}
	fields = append(fields, lift(shapeFields, func(g *group) *shape { return &g.shape })...)
	entries := func(r *reader, g *group, v value) (err error) {
		if len(g.entries) > 0 {
			return v.fail("they mean the same; keep one", "both any_of and variants are given")
		}
		g.entries, err = readEntries(r, variants, v)
		return
	}
	fields = append(fields, field[group]{"any_of", entries}, field[group]{"variants", entries})
	fields = append(fields, lift(whereFields, func(g *group) *purser.Where { return &g.noun.Where })...)
	fields = append(fields, lift(runFields, func(g *group) *purser.Run { return &g.noun.Run })...)
	return append(fields,
		field[group]{"min_quality", func(_ *reader, g *group, v value) error {
			var err error
			if g.noun.MinQuality, err = v.share(maxAmount); err == nil && g.noun.MinQuality == 0 {
				err = v.fail("leave it out to set no floor", "an accuracy floor must be above 0")
			}
			return err
		}},
		field[group]{"model", func(r *reader, g *group, v value) error { return readModel(r, g, v) }},
		field[group]{"after", func(_ *reader, g *group, v value) (err error) { g.noun.After, err = readAfter(v); return }},
		field[group]{"retries", func(_ *reader, g *group, v value) (err error) { g.noun.Retries, err = v.integer(0, 1000); return }},
		field[group]{"data", func(r *reader, g *group, v value) error { return readData(r, &g.noun.Data, v) }},
	)
}

func trainingFields() []field[group] {
	shapes := lift([]field[shape]{runTimeField, stagesField}, func(g *group) *shape { return &g.shape })
	return append(append(shapes, gangFields()...),
		field[group]{"spread", func(r *reader, g *group, v value) error { return readSpread(r, &g.noun.Spread, v) }},
		field[group]{"work", func(_ *reader, g *group, v value) error {
			var err error
			if g.noun.Work, err = v.number(0, maxAmount); err == nil && g.noun.Work == 0 {
				err = v.fail("", "work must be above 0")
			}
			return err
		}},
		field[group]{"deadline", func(r *reader, g *group, v value) (err error) { g.noun.Deadline, err = v.instant(r.now); return }},
		field[group]{"can_wait", func(_ *reader, g *group, v value) error {
			var err error
			if g.noun.CanWait, err = v.duration(); err == nil && g.noun.CanWait > purser.MaxWait {
				err = v.fail("", "a time to wait lies between 0 and 366d")
			}
			return err
		}},
		field[group]{"federated", func(r *reader, g *group, v value) error { return readFederated(r, &g.federated, v) }},
		field[group]{"output", func(_ *reader, g *group, v value) (err error) { g.noun.OutputGB, err = v.dataSize(); return }},
		field[group]{"checkpoint", func(r *reader, g *group, v value) error { return readCheckpoint(r, &g.noun.Checkpoint, v) }},
	)
}

func inferenceFields() []field[group] {
	return []field[group]{
		{"demand", func(_ *reader, g *group, v value) (err error) { g.demand, err = v.rate(); return }},
		{"demand_at", readDemandAt},
		{"time_zone", func(_ *reader, g *group, v value) error { return readTimeZone(g, v) }},
		{"replicas", func(_ *reader, g *group, v value) (err error) {
			g.noun.Replicas, err = v.integer(0, purser.MaxReplicasPerGroup)
			return
		}},
		{"headroom", func(_ *reader, g *group, v value) (err error) { g.noun.Headroom, err = v.share(100); return }},
		{"survive", func(r *reader, g *group, v value) error { return readSurvive(r, &g.noun.Survive, v) }},
		{"max_replicas", func(_ *reader, g *group, v value) (err error) {
			g.noun.MaxReplicas, err = v.integer(1, purser.MaxReplicasPerGroup)
			return
		}},
		{"users", func(r *reader, g *group, v value) (err error) { g.noun.Users, err = readUsers(r, v); return }},
		{"max_latency", func(r *reader, g *group, v value) error { return readMaxLatency(r, &g.noun.MaxLatency, v) }},
		{"port", func(_ *reader, g *group, v value) (err error) { g.noun.Port, err = v.integer(1, 65535); return }},
	}
}

// groupTables has the tables of groups by kind, and by whether they are entries
// of groups, where the kind is a field of its own.
var groupTables = map[purser.GroupKind]map[bool]table[group]{
	purser.Training:  {false: groupTable(purser.Training, false), true: groupTable(purser.Training, true)},
	purser.Inference: {false: groupTable(purser.Inference, false), true: groupTable(purser.Inference, true)},
}

func groupTable(kind purser.GroupKind, listForm bool) table[group] {
	t := table[group]{what: "a training group", elsewhere: map[string]string{}}
	own, other, belongs := trainingFields(), inferenceFields(), "%s belongs to inference groups (serve)"
	variants := trainingEntries
	if kind == purser.Inference {
		t.what, variants = "an inference group", inferenceEntries
		own, other, belongs = other, own, "%s belongs to training groups (train)"
	}
	for _, f := range other {
		if !slices.ContainsFunc(own, func(o field[group]) bool { return o.name == f.name }) {
			t.elsewhere[f.name] = fmt.Sprintf(belongs, f.name)
		}
	}
	t.fields = append(commonFields(variants), own...)
	if listForm {
		t.fields = append(t.fields, field[group]{"kind", func(*reader, *group, value) error { return nil }}) // read by readGroups
	} else {
		t.elsewhere["kind"] = "train and serve say the kind already; it is a field of the entries of groups"
	}
	return t
}

var checkpointTable = table[purser.Checkpoint]{what: "a checkpoint", fields: []field[purser.Checkpoint]{
	{"path", func(_ *reader, c *purser.Checkpoint, v value) (err error) { c.Path, err = v.folder(); return }},
	{"every", func(_ *reader, c *purser.Checkpoint, v value) error {
		var err error
		if c.Every, err = v.duration(); err == nil && c.Every == 0 {
			err = v.fail("", "the time between checkpoints must be above 0")
		}
		return err
	}},
	{"cost", func(_ *reader, c *purser.Checkpoint, v value) (err error) { c.Cost, err = v.duration(); return }},
	{"restart", func(_ *reader, c *purser.Checkpoint, v value) (err error) { c.Restart, err = v.duration(); return }},
	{"size", func(_ *reader, c *purser.Checkpoint, v value) (err error) { c.SizeGB, err = v.dataSize(); return }},
	{"storage", func(_ *reader, c *purser.Checkpoint, v value) (err error) { c.Storage, err = v.storage(); return }},
}}

// defaultCheckpointPath is where a task that says how often, not where, is
// expected to write.
const defaultCheckpointPath = "checkpoints"

func readCheckpoint(r *reader, c *purser.Checkpoint, v value) error {
	w, err := checkpointTable.read(r, v, c)
	if err == nil && !w.has("every") {
		err = v.fail("add every: 10m", "a checkpoint needs the time between two of them")
	}
	if c.Path == "" {
		c.Path = defaultCheckpointPath
	}
	return err
}

var surviveTable = table[purser.Survive]{what: "survive", fields: []field[purser.Survive]{
	{"level", func(_ *reader, s *purser.Survive, v value) (err error) { s.Level, err = v.level(); return }},
	{"share", func(_ *reader, s *purser.Survive, v value) (err error) { s.Share, err = v.part(); return }},
	{"failures", func(_ *reader, s *purser.Survive, v value) (err error) {
		s.Failures, err = v.integer(1, purser.MaxFailures)
		return
	}},
}}

// readSurvive reads zone or {level: zone, share: 0.5, failures: 2}; without a share all
// of the demand survives, without a number one failure.
func readSurvive(r *reader, s *purser.Survive, v value) error {
	s.Share = 1
	if !v.isMapping() {
		var err error
		s.Level, err = v.level()
		return err
	}
	w, err := surviveTable.read(r, v, s)
	if err == nil && !w.has("level") {
		err = v.fail("add level: zone, machine or another", "it is not said what may fail")
	}
	return err
}

var spreadTable = table[purser.Spread]{what: "spread", fields: []field[purser.Spread]{
	{"level", func(_ *reader, s *purser.Spread, v value) (err error) { s.Level, err = v.level(); return }},
	{"share", func(_ *reader, s *purser.Spread, v value) (err error) { s.Share, err = v.part(); return }},
	{"max", func(_ *reader, s *purser.Spread, v value) (err error) {
		s.Max, err = v.integer(1, purser.MaxReplicasPerGroup)
		return
	}},
}}

// readSpread reads {level: zone, share: 0.5} or {level: zone, max: 2}.
func readSpread(r *reader, s *purser.Spread, v value) error {
	const form = "write {level: zone, share: 50%} or {level: zone, max: 2}"
	if !v.isMapping() {
		return v.fail(form, "it is not said how many replicas may lie in one place")
	}
	w, err := spreadTable.read(r, v, s)
	if err == nil && (!w.has("level") || w.has("share") == w.has("max")) {
		err = v.fail(form, "spread needs a level, and a share or the most replicas")
	}
	return err
}

func (v value) level() (purser.DomainLevel, error) {
	const hint = "what may fail is a zone, a region, a provider, a site, a spot_pool or a machine"
	s, err := v.text(maxWord)
	if err != nil {
		return "", err
	}
	if l := purser.DomainLevel(s); slices.Contains(purser.DomainLevels(), l) {
		return l, nil
	}
	return "", v.fail(hint, "%q is not a failure domain", clip(s))
}

var dataTable = table[purser.Data]{what: "data", fields: []field[purser.Data]{
	{"provider", func(_ *reader, d *purser.Data, v value) (err error) { d.Provider, err = v.provider(); return }},
	{"region", func(_ *reader, d *purser.Data, v value) (err error) { d.Region, err = v.word(); return }},
	{"size", func(_ *reader, d *purser.Data, v value) (err error) { d.SizeGB, err = v.dataSize(); return }},
	{"storage", func(_ *reader, d *purser.Data, v value) (err error) { d.Storage, err = v.storage(); return }},
	{"load_time", func(_ *reader, d *purser.Data, v value) (err error) { d.Load, err = v.duration(); return }},
}}

// storage reads a class of storage.
func (v value) storage() (purser.StorageClass, error) {
	s, err := v.text(maxWord)
	if err != nil {
		return "", err
	}
	if c := purser.StorageClass(s); slices.Contains(purser.StorageClasses(), c) {
		return c, nil
	}
	return "", v.fail("one of cold, standard, nvme", "%q is not a class of storage", clip(s))
}

func readData(r *reader, d *purser.Data, v value) error {
	w, err := dataTable.read(r, v, d)
	if err == nil && !(w.has("provider") && w.has("size")) {
		err = v.fail("write {provider: aws, region: us-east-1, size: 500GB}", "data needs a provider and a size")
	}
	return err
}

// finish turns what was read into the noun.
func (g *group) finish(kind purser.GroupKind) error {
	g.noun.Kind = kind
	unit := time.Second
	if kind == purser.Training {
		unit = time.Hour
		if !g.written.has("replicas") {
			g.noun.Replicas = 1
		}
	}
	if g.written.has("spot") && g.written.has("purchase_options") {
		return g.written["purchase_options"].fail("purchase_options alone says it all", "both spot and purchase_options are given")
	}
	g.noun.Demand = g.demand.in(time.Second)
	if g.noun.Survive.Level != "" && g.noun.Demand == 0 {
		return g.written["survive"].fail("add demand: 40/s", "what survives is a share of the demand, and none is given")
	}
	if len(g.entries) == 0 {
		g.entries = []entry{{at: g.at, written: written{}}}
	}
	for i := range g.entries {
		g.entries[i].inherit(g.shape, g.written)
	}
	if err := g.times(); err != nil {
		return err
	}
	defer g.settleGang()
	for i := range g.entries {
		variants, err := g.variants(&g.entries[i], unit)
		if err != nil {
			return err
		}
		for _, v := range variants {
			if err := g.addVariant(v, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// addVariant refuses a second variant of one name, since plans name variants. An
// exact repetition, as A100 beside A100-80GB makes it, is dropped.
func (g *group) addVariant(v purser.Variant, origin int) error {
	for _, o := range g.noun.Variants {
		if o == v {
			return nil
		}
		if o.Name == v.Name {
			return g.entries[origin].at.fail("give each a name of its own", "two variants are named %q", v.Name)
		}
	}
	g.noun.Variants = append(g.noun.Variants, v)
	g.origins = append(g.origins, origin)
	return nil
}

// times settles how long a replica runs: one run time for the group, a run time
// for each variant, or work and throughputs.
//
// Run times that differ become work: with one unit of work for each replica,
// a variant that takes T hours has the throughput 1/T.
func (g *group) times() error {
	if g.noun.Kind != purser.Training {
		return nil
	}
	if err := g.needsWork(); err != nil {
		return err
	}
	apart, least := false, time.Duration(0)
	for _, e := range g.entries {
		if e.written.has("throughput") && !g.written.has("work") {
			return e.written["throughput"].fail("add work, or give run_time alone", "a throughput says nothing without work")
		}
		if e.written.has("run_time") && g.written.has("work") {
			return e.written["run_time"].fail("give run_time, or work and throughput", "both a run time and work are given")
		}
		apart = apart || e.shape.runTime != g.entries[0].shape.runTime
		least = max(least, e.shape.runTime)
	}
	if !apart {
		g.noun.RunTime = least
		return nil
	}
	g.noun.RunTime = least
	g.noun.Work = math.Max(float64(g.noun.Replicas), 1)
	for i := range g.entries {
		e := &g.entries[i]
		if e.shape.runTime == 0 {
			return e.at.fail("each variant needs one when any has", "this variant has no run time")
		}
		e.shape.throughput = rate{amount: 1 / e.shape.runTime.Hours(), per: time.Hour}
	}
	return nil
}
