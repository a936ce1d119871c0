package gcp

import (
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func TestDescriptions(t *testing.T) {
	for description, want := range map[string]struct {
		part   part
		option purser.PurchaseOption
	}{
		"N1 Predefined Instance Core running in Americas":                                 {part{core, "n1"}, purser.OnDemand},
		"Preemptible N1 Predefined Instance Ram running in Americas":                      {part{ram, "n1"}, purser.Spot},
		"Spot Preemptible N2D AMD Instance Ram running in São Paulo":                      {part{ram, "n2d"}, purser.Spot},
		"Compute optimized Core running in Americas":                                      {part{core, "c2"}, purser.OnDemand},
		"Compute optimized Instance Ram running in Doha":                                  {part{ram, "c2"}, purser.OnDemand},
		"C2D AMD Instance Core running in Americas":                                       {part{core, "c2d"}, purser.OnDemand},
		"C3D Instance Core running in Taiwan":                                             {part{core, "c3d"}, purser.OnDemand},
		"DWS Defined Duration A2 Core running in Americas":                                {part{core, "a2"}, purser.FlexStart},
		"DWS Flex Start A3 Ram running in Americas":                                       {part{ram, "a3"}, purser.FlexStart},
		"Reserved A2 Ram in Netherlands in Calendar Mode":                                 {part{ram, "a2"}, purser.CapacityBlock},
		"DWS Calendar Mode A3 Ultra Instance Core running in Iowa":                        {part{core, "a3-ultra"}, purser.CapacityBlock},
		"Nvidia Tesla P100 GPU attached to Preemptible VMs running in Americas":           {part{gpu, "P100"}, purser.Spot},
		"Nvidia Tesla A100 80GB GPU running in Netherlands":                               {part{gpu, "A100-80GB"}, purser.OnDemand},
		"Nvidia H100 Mega 80GB GPU attached to DWS Defined Duration VMs running in Seoul": {part{gpu, "H100-MEGA"}, purser.FlexStart},
		"Reserved Nvidia H100 80GB GPU in Seoul in Calendar Mode":                         {part{gpu, "H100"}, purser.CapacityBlock},
		"DWS Calendar Mode A4 Nvidia B200 (1 gpu slice) in Seoul":                         {part{gpu, "B200"}, purser.CapacityBlock},
		"RTX 6000 96GB running in Americas":                                               {part{gpu, "RTXPRO6000"}, purser.OnDemand},
		"SSD backed Local Storage in Paris":                                               {part{kind: ssd}, purser.OnDemand},
		"SSD backed Local Storage attached to Spot Preemptible VMs in Paris":              {part{kind: ssd}, purser.Spot},
		"DWS Defined Duration SSD backed Local Storage running in Americas":               {part{kind: ssd}, purser.FlexStart},
		"TPUv5e running in Delhi":                                                         {part{tpu, "TPU-V5E"}, purser.OnDemand},
		"Reserved V5e TPU in Calendar Mode":                                               {part{tpu, "TPU-V5E"}, purser.CapacityBlock},
		"Tpu-v4 Pod Accelerator USA":                                                      {part{pod, "TPU-V4"}, purser.OnDemand},
		"Tpu-v2 Accelerator (Preemptible) Asia Pacific":                                   {part{tpu, "TPU-V2"}, purser.Spot},
		"Preemptible Tpu-v3 Pod Accelerator EMEA":                                         {part{pod, "TPU-V3"}, purser.Spot},
	} {
		p, option, ok := parseDescription(description)
		if !ok || p != want.part || option != want.option {
			t.Errorf("%q is %v, %s, %t; want %v, %s", description, p, option, ok, want.part, want.option)
		}
	}
}

// TestTrap04_WordsTooMany adds each word of another product to good descriptions.
func TestTrap04_WordsTooMany(t *testing.T) {
	for _, good := range []string{"A2 Instance Core running in Americas", "Nvidia Tesla A100 GPU running in Americas", "TpuV5e running in Americas", "SSD backed Local Storage", "Tpu-v3 Accelerator USA"} {
		if _, _, ok := parseDescription(good); !ok {
			t.Fatalf("%q is not known", good)
		}
		for _, word := range []string{"DWS", "Calendar Mode", "Flex Start", "Defined Duration", "Reserved", "Commitment v1:", "Sole Tenancy", "Custom", "Premium", "Suspended", "VmState", "CUD", "Capacity Optimized", "Extended"} {
			name, place, _ := strings.Cut(good, " running")
			for _, bad := range []string{word + " " + good, name + " " + word + " running" + place} {
				if p, option, ok := parseDescription(bad); ok {
					t.Errorf("%q passes for %v, %s", bad, p, option)
				}
			}
		}
	}
}

// TestSumsAreExact compares the sum with rational numbers.
func TestSumsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, want := rates{}, new(big.Rat)
		var items []item
		for i, k := range []kind{core, ram, gpu, ssd} {
			p := part{k, ""}
			each := []int64{1, 1024, 8, 1}[i]
			hours := rapid.SampledFrom([]int64{1, 730}).Draw(t, "hours")
			if each > 1 {
				hours = 1
			}
			nano, quantity := rapid.Int64Range(-1e12, 1e14).Draw(t, "nano"), rapid.Int64Range(0, 1<<20).Draw(t, "quantity")
			r[rateKey{"r", p, purser.Spot}] = rate{nano, hours, "S"}
			items = append(items, item{p, quantity, each})
			want.Add(want, new(big.Rat).Mul(big.NewRat(nano, hours), big.NewRat(quantity, each)))
		}
		got, ok := r.priceOf("r", purser.Spot, items)
		off := new(big.Rat).Sub(want, new(big.Rat).SetInt64(int64(got.price)))
		half := big.NewRat(1, 2)
		fits := want.Cmp(new(big.Rat).SetInt64(math.MaxInt64)) < 0
		if !ok || fits && (off.Cmp(half) >= 0 || off.Cmp(new(big.Rat).Neg(half)) < 0) || !fits && got.price != math.MaxInt64 {
			t.Fatalf("%d nano-USD, want %s", got.price, want.FloatString(3))
		}
		if _, ok := r.priceOf("other", purser.Spot, items); ok {
			t.Fatal("a price of another region was taken")
		}
		if _, ok := r.priceOf("r", purser.OnDemand, items); ok {
			t.Fatal("a price of another way to buy was taken")
		}
	})
}

// TestHazard checks that a hazard gives its share back, and its order.
func TestHazard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0, 1).Draw(t, "p")
		over := time.Duration(rapid.Int64Range(int64(time.Hour), int64(31*24*time.Hour)).Draw(t, "over"))
		h := hazard(p, over)
		if back := -math.Expm1(-h * over.Hours()); math.Abs(back-min(p, maxShare)) > 1e-9 || h < 0 || math.IsInf(h, 0) {
			t.Fatalf("the hazard %g gives a share of %g", h, back)
		}
		if hazard(p, 2*over) > h {
			t.Fatal("the same share over a longer time must not be a larger hazard")
		}
	})
}

func FuzzParseDescription(f *testing.F) {
	for _, s := range append(listSKUs(), append(confusingSKUs(), olderSKUs()...)...) {
		f.Add(dig(s, "description"))
	}
	f.Fuzz(func(t *testing.T, description string) {
		p, option, ok := parseDescription(description)
		if ok && (p.kind == 0 || (p.name == "") != (p.kind == ssd) || option == "") {
			t.Errorf("%q is %v, %q", description, p, option)
		}
		if d := strings.ToLower(description); ok && option == purser.OnDemand && (strings.Contains(d, "dws") || strings.Contains(d, "preemptible") || strings.Contains(d, "calendar mode")) &&
			!strings.Contains(d, " in ") {
			t.Errorf("%q is sold on demand", description)
		}
	})
}

func FuzzSliceNamed(f *testing.F) {
	for _, s := range append(listedSlices(), "v5p-9", "v6e", "v4-0", "v2-+8", "v3-99999999999999999999") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typ string) {
		s, ok := sliceNamed(typ)
		if !ok {
			return
		}
		shape := s.shape()
		if err := (purser.Offer{Provider: "gcp", Region: "r", InstanceType: typ, Option: purser.Spot, UnitPrice: 1, Shape: shape}).Check(); err != nil || shape.MilliCPU <= 0 || shape.MemoryMiB <= 0 || shape.DeviceMemoryMiB <= 0 {
			t.Errorf("%q has %+v: %v", typ, shape, err)
		}
	})
}

func FuzzNanoUSD(f *testing.F) {
	f.Add(int64(math.MaxInt64), int32(999_999_999))
	f.Add(int64(-3), int32(-5))
	f.Fuzz(func(t *testing.T, units int64, nanos int32) {
		got := nanoUSD(units, nanos)
		want := new(big.Int).Add(new(big.Int).Mul(big.NewInt(units), big.NewInt(1_000_000_000)), big.NewInt(int64(nanos)))
		if want.IsInt64() && units < 9_000_000_000 && units > -9_000_000_000 && got != want.Int64() {
			t.Errorf("%d and %d make %d", units, nanos, got)
		}
		if units > 1 && got < 0 && nanos >= 0 || units < -1 && got > 0 && nanos <= 0 {
			t.Errorf("%d and %d make %d", units, nanos, got)
		}
	})
}
