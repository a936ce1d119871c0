package jobfile

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"purser"
)

// model is one model of accelerator and how many of it a replica has.
type model struct {
	name    string // canonical
	devices purser.MilliDevices
	memory  int64 // MiB of one whole device
	at      value
}

// String writes A100-40GB:8, which is also how variants are named.
func (m model) String() string { return m.name + ":" + m.devices.String() }

// shape is what one replica needs. A group has one, and each of its variants,
// which takes from the group what it leaves out.
type shape struct {
	models       []model // the variants to make of it; none: CPU alone
	milliCPU     int64
	memory       int64 // MiB
	deviceMemory int64 // MiB
	throughput   rate
	quality      float64
	runTime      time.Duration
	stages       int // 0: not said
}

// shapeFields may stand in a group and in a variant.
var shapeFields = []field[shape]{
	{"accelerators", func(_ *reader, s *shape, v value) (err error) { s.models, err = readAccelerators(v); return }},
	{"cpus", func(_ *reader, s *shape, v value) (err error) { s.milliCPU, err = v.cpus(); return }},
	{"memory", func(_ *reader, s *shape, v value) (err error) { s.memory, err = v.memory(); return }},
	{"device_memory", func(_ *reader, s *shape, v value) (err error) { s.deviceMemory, err = v.memory(); return }},
	{"throughput", func(_ *reader, s *shape, v value) error {
		var err error
		if s.throughput, err = v.rate(); err == nil && s.throughput.amount == 0 {
			err = v.fail("", "a throughput must be above 0")
		}
		return err
	}},
	{"quality", func(_ *reader, s *shape, v value) error {
		var err error
		if s.quality, err = v.share(maxAmount); err == nil && s.quality == 0 {
			err = v.fail("leave it out where nothing was measured", "a quality must be above 0")
		}
		return err
	}},
}

// runTimeField belongs to training alone.
var runTimeField = field[shape]{"run_time", func(_ *reader, s *shape, v value) error {
	var err error
	if s.runTime, err = v.duration(); err == nil && s.runTime == 0 {
		err = v.fail("", "a run time must be above 0")
	}
	return err
}}

// stagesField belongs to training alone, too.
var stagesField = field[shape]{"stages", func(_ *reader, s *shape, v value) (err error) { s.stages, err = v.integer(1, purser.MaxStages); return }}

// entry is one line of any_of or variants.
type entry struct {
	at      value
	written written
	name    string
	shape   shape
}

// The tables of variants.
var (
	trainingEntries  = entryTable(purser.Training)
	inferenceEntries = entryTable(purser.Inference)
)

func entryTable(kind purser.GroupKind) table[entry] {
	t := table[entry]{what: "a variant", fields: []field[entry]{
		{"name", func(_ *reader, e *entry, v value) (err error) { e.name, err = v.variantName(); return }},
	}}
	pick := func(e *entry) *shape { return &e.shape }
	t.fields = append(t.fields, lift(shapeFields, pick)...)
	if kind == purser.Training {
		t.fields = append(t.fields, lift([]field[shape]{runTimeField, stagesField}, pick)...)
	} else {
		t.elsewhere = map[string]string{
			"run_time": "a run time belongs to training groups; a service has a throughput",
			"stages":   "stages belong to training groups; a replica of a service is one machine",
		}
	}
	return t
}

var variantForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._:@+-]{0,61}[A-Za-z0-9])?$`)

func (v value) variantName() (string, error) {
	s, err := v.text(maxWord)
	if err == nil && !variantForm.MatchString(s) {
		err = v.fail("up to 63 letters, digits and . _ : @ + -", "%q cannot name a variant", clip(s))
	}
	return s, err
}

// readEntries reads any_of and variants: texts such as A100:8 or mappings.
func readEntries(r *reader, t table[entry], v value) ([]entry, error) {
	if !v.isList() {
		return nil, v.wrong("a list of variants", "write - {name: fp16, accelerators: L4:1, throughput: 12/s}")
	}
	items := v.items()
	if len(items) == 0 {
		return nil, v.fail("", "the list is empty")
	}
	if len(items) > purser.MaxVariantsPerGroup {
		return nil, v.fail("", "a group has at most %d variants", purser.MaxVariantsPerGroup)
	}
	out := make([]entry, 0, len(items))
	for _, item := range items {
		e := entry{at: item}
		var err error
		if item.isMapping() {
			e.written, err = t.read(r, item, &e)
		} else {
			e.shape.models, err = readAccelerators(item)
			e.written = written{"accelerators": item}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// inherit fills what the entry leaves out from the group's shape.
func (e *entry) inherit(group shape, has written) {
	take := func(name string, fill func()) {
		if at, ok := has[name]; ok && !e.written.has(name) {
			fill()
			e.written[name] = at
		}
	}
	take("accelerators", func() { e.shape.models = group.models })
	take("cpus", func() { e.shape.milliCPU = group.milliCPU })
	take("memory", func() { e.shape.memory = group.memory })
	take("device_memory", func() { e.shape.deviceMemory = group.deviceMemory })
	take("throughput", func() { e.shape.throughput = group.throughput })
	take("quality", func() { e.shape.quality = group.quality })
	take("stages", func() { e.shape.stages = group.stages })
	take("run_time", func() { e.shape.runTime = group.runTime })
}

// variants makes one variant for each model. unit is the time that a throughput
// counts in.
func (e *entry) variants(unit time.Duration) []purser.Variant {
	v := purser.Variant{
		Name: e.name, DeviceMemoryMiB: e.shape.deviceMemory, MilliCPU: e.shape.milliCPU,
		MemoryMiB: e.shape.memory, Throughput: e.shape.throughput.in(unit), Quality: e.shape.quality,
	}
	if e.shape.stages > 1 {
		v.Stages = e.shape.stages
	}
	if len(e.shape.models) == 0 {
		if v.Name == "" {
			v.Name = "cpu"
		}
		return []purser.Variant{v}
	}
	out := make([]purser.Variant, len(e.shape.models))
	for i, m := range e.shape.models {
		out[i] = v
		out[i].Accelerator, out[i].Devices = m.name, m.devices
		switch {
		case v.Name == "":
			out[i].Name = m.String()
		case len(out) > 1:
			out[i].Name = v.Name + "@" + m.String()
		}
	}
	return out
}

// readAccelerators reads A100:8, [H100:8, A100:8] or {H100: 8, A100: 8}: any of
// them will do.
func readAccelerators(v value) ([]model, error) {
	var out []model
	add := func(at value, word, count string) error {
		models, err := at.models(word, count)
		for _, m := range models {
			same := func(o model) bool { return o.name == m.name && o.devices == m.devices }
			if !slices.ContainsFunc(out, same) { // A100 and A100-80GB may stand side by side
				out = append(out, m)
			}
		}
		return err
	}
	for _, item := range v.items() {
		if item.isMapping() {
			for _, p := range item.pairs() {
				count, err := p.quantity("a number of devices", "8 or 0.5")
				if err == nil {
					err = add(p.value, p.name, count)
				}
				if err != nil {
					return nil, err
				}
			}
			continue
		}
		s, err := item.text(maxWord)
		if err != nil {
			return nil, item.wrong("an accelerator", "write it like A100:8")
		}
		word, count, given := strings.Cut(s, ":")
		if !given {
			count = "1"
		}
		if err := add(item, word, count); err != nil {
			return nil, err
		}
	}
	switch {
	case len(out) == 0:
		return nil, v.fail("leave the field out for CPU alone", "no accelerator is named")
	case len(out) > purser.MaxVariantsPerGroup:
		return nil, v.fail("", "these are more than %d models", purser.MaxVariantsPerGroup)
	}
	return out, nil
}

// models gives every model that a user's word means, with a number of devices.
func (v value) models(word, count string) ([]model, error) {
	known := purser.AcceleratorsMatching(word)
	if strings.TrimSpace(word) == "" || len(known) == 0 {
		hint := "write it like A100, H100:8, L4:0.5 or TPU-V5E:4"
		if near := purser.SuggestAccelerator(word); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		return nil, v.fail(hint, "%q is not an accelerator that Purser knows", clip(word))
	}
	devices, err := v.devices(strings.TrimSpace(count))
	if err != nil {
		return nil, err
	}
	out := make([]model, len(known))
	for i, a := range known {
		out[i] = model{name: a.Name, devices: devices, memory: int64(math.Round(a.MemoryGiB * 1024)), at: v}
	}
	return out, nil
}

func (v value) devices(count string) (purser.MilliDevices, error) {
	const hint = "a whole number, or 0.5, 0.25 or 0.125 of one"
	if strings.HasSuffix(count, "+") {
		return 0, v.fail("leave the + out; list the counts that will do", "%q is not a number of devices", clip(count))
	}
	if !decimal.MatchString(count) {
		return 0, v.fail(hint, "%q is not a number of devices", clip(count))
	}
	f, err := v.numeral(count, 0, 1e6)
	if err != nil {
		return 0, err
	}
	milli := purser.MilliDevices(math.Round(f * 1000))
	if milli == 0 || float64(milli) != f*1000 || !milli.ValidShare() {
		return 0, v.fail(hint, "%s devices cannot be asked for", clip(count))
	}
	return milli, nil
}
