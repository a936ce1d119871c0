package purser_test

import (
	"math"
	"slices"
	"testing"

	"purser"
)

func TestSplits(t *testing.T) {
	const gib = 1024
	for _, c := range []struct {
		name   string
		m      purser.Model
		kind   purser.GroupKind
		memory int64 // GiB of a device
		want   []purser.Split
	}{
		// 7e9 · 2 bytes are 13.04 GiB.
		{"it fits", purser.Model{Parameters: 7e9}, purser.Inference, 24, []purser.Split{{Devices: 1, Stages: 1, MemoryMiB: 13352, Speed: 1}}},
		// 70e9 · 2 bytes are 130.4 GiB: two of 80.
		{"two devices", purser.Model{Parameters: 70e9}, purser.Inference, 80, []purser.Split{{Devices: 2, Stages: 1, MemoryMiB: 66758, Speed: 1.8}}},
		{"no machine", purser.Model{Parameters: 70e9}, purser.Inference, 16, nil},
		// 7e9 · 16 bytes are 104.31 GiB: with one device two stages, with two one.
		{"stages or devices", purser.Model{Parameters: 7e9}, purser.Training, 80, []purser.Split{
			{Devices: 1, Stages: 2, MemoryMiB: 53406, Speed: 2 * 8.0 / 9}, {Devices: 2, Stages: 1, MemoryMiB: 53406, Speed: 1.8},
		}},
		// 3 layers: two stages hold two of them, and 69.5 GiB.
		{"whole layers", purser.Model{Parameters: 7e9, Layers: 3}, purser.Training, 60, []purser.Split{
			{Devices: 1, Stages: 3, MemoryMiB: 35604, Speed: 3 * 8.0 / 10}, {Devices: 2, Stages: 1, MemoryMiB: 53406, Speed: 1.8},
		}},
		{"too few layers", purser.Model{Parameters: 7e12, Layers: 2}, purser.Training, 80, nil},
	} {
		got := c.m.Splits(c.kind, c.memory*gib)
		if !slices.EqualFunc(got, c.want, func(a, b purser.Split) bool {
			return a.Devices == b.Devices && a.Stages == b.Stages && a.MemoryMiB == b.MemoryMiB && math.Abs(a.Speed-b.Speed) < 1e-9
		}) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if err := (purser.Model{Parameters: 1, Overhead: -1}).Check(); err == nil {
		t.Error("a negative overhead passes")
	}
}
