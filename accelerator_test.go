package purser_test

import (
	"testing"

	"purser"
)

// Every device draws power, and none draws as much as a rack.
func TestAcceleratorsDrawPower(t *testing.T) {
	for _, a := range purser.Accelerators() {
		if a.Watts < 20 || a.Watts > 2000 {
			t.Errorf("%s draws %g W", a.Name, a.Watts)
		}
	}
	for name, want := range map[string]float64{"H100": 700, "H100-PCIE": 350, "L4": 72, "T4": 70, "MI300X": 750, "GAUDI3": 900, "K80": 150, "TPU-V4": 192, "U30": 40} {
		if a, ok := purser.AcceleratorNamed(name); !ok || a.Watts != want {
			t.Errorf("%s draws %g W, want %g", name, a.Watts, want)
		}
	}
}
