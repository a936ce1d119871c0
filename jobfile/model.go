package jobfile

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"purser"
)

var modelTable = table[purser.Model]{what: "a model", fields: []field[purser.Model]{
	{"parameters", func(_ *reader, m *purser.Model, v value) (err error) { m.Parameters, err = v.parameters(); return }},
	{"bytes_per_parameter", func(_ *reader, m *purser.Model, v value) (err error) { m.BytesPerParameter, err = v.above0(64); return }},
	{"training_state", func(_ *reader, m *purser.Model, v value) (err error) { m.TrainingState, err = v.above0(256); return }},
	{"overhead", func(_ *reader, m *purser.Model, v value) (err error) { m.Overhead, err = v.share(100); return }},
	{"layers", func(_ *reader, m *purser.Model, v value) (err error) { m.Layers, err = v.integer(1, 100_000); return }},
	{"tensor_efficiency", func(_ *reader, m *purser.Model, v value) error {
		var err error
		if m.TensorEfficiency, err = v.share(1); err == nil && m.TensorEfficiency == 0 {
			err = v.fail("", "an efficiency must be above 0")
		}
		return err
	}},
	{"microbatches", func(_ *reader, m *purser.Model, v value) (err error) {
		m.Microbatches, err = v.integer(1, 1_000_000)
		return
	}},
}}

// above0 reads a number above 0.
func (v value) above0(most float64) (float64, error) {
	f, err := v.number(0, most)
	if err == nil && f == 0 {
		err = v.fail("", "it must be above 0")
	}
	return f, err
}

// parameters reads 70B, 350M or a bare number.
func (v value) parameters() (float64, error) {
	const example = "7B or 350M"
	s, err := v.quantity("a number of parameters", example)
	if err != nil {
		return 0, err
	}
	unit := 1.0
	for suffix, n := range map[string]float64{"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = strings.TrimSpace(digits), n
			break
		}
	}
	if !decimal.MatchString(s) {
		return 0, v.fail("write it like "+example, "%q is not a number of parameters", clip(s))
	}
	f, err := v.numeral(s, 0, 1e15/unit)
	if err == nil && f == 0 {
		err = v.fail("", "a model has parameters")
	}
	return f * unit, err
}

func readModel(r *reader, g *group, v value) error {
	w, err := modelTable.read(r, v, &g.model)
	if err == nil && !w.has("parameters") {
		err = v.fail("add parameters: 7B", "it is not said how large the model is")
	}
	return err
}

// variants makes the variants of an entry: those that it names, or with a model one
// for each way that the model can be split over devices of what it names.
func (g *group) variants(e *entry, unit time.Duration) ([]purser.Variant, error) {
	if g.model.Parameters == 0 {
		return e.variants(unit), nil
	}
	at := e.at
	if w, ok := e.written["accelerators"]; ok {
		at = w
	}
	switch {
	case len(e.shape.models) == 0:
		return nil, at.fail("add accelerators: [H100, A100-80GB]", "a model that is split needs accelerators")
	case slices.ContainsFunc(e.shape.models, func(m model) bool { return m.devices != purser.OneDevice }):
		return nil, at.fail("name the accelerators alone, such as [H100, A100-80GB]", "how many devices there are follows from the model")
	case e.shape.stages != 0:
		return nil, e.written["stages"].fail("leave the model out, and name devices and stages yourself", "how many stages there are follows from the model")
	case e.shape.deviceMemory != 0:
		return nil, e.written["device_memory"].fail("leave it out", "the memory of a device follows from the model")
	case g.noun.Kind == purser.Training && e.shape.throughput.amount == 0:
		return nil, e.at.fail("add work, and the throughput of one device", "how fast a model is that is split follows from the throughput of one device")
	}
	var out []purser.Variant
	var short []string
	for i, v := range e.variants(unit) {
		m := e.shape.models[i]
		splits := g.model.Splits(g.noun.Kind, m.memory)
		if len(splits) == 0 {
			short = append(short, fmt.Sprintf("%s has %s GiB", m.name, short1(float64(m.memory)/1024)))
		}
		for _, s := range splits {
			x := v
			x.Devices, x.DeviceMemoryMiB = purser.MilliDevices(s.Devices)*purser.OneDevice, s.MemoryMiB
			x.Throughput = v.Throughput * s.Speed
			x.Name = strings.TrimSuffix(v.Name, ":1") + ":" + x.Devices.String()
			if s.Stages > 1 {
				x.Stages = s.Stages
				x.Name += fmt.Sprintf("+%d", s.Stages)
			}
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		what := "even in stages over machines"
		if g.noun.Kind == purser.Inference {
			what = "and a replica of a service is one machine"
		}
		return nil, at.fail("name accelerators with more memory", "a copy of the model takes %s GiB: it fits on no 8 devices of a machine, %s (%s)",
			short1(g.model.GiB(g.noun.Kind)), what, strings.Join(short, ", "))
	}
	return out, nil
}

func short1(f float64) string { return short(math.Round(f*10) / 10) }
