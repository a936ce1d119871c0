package optimizer

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"purser"
)

// csvRows reads a CSV file of the real data by the names of its columns.
func csvRows(t testing.TB, parts ...string) []map[string]string {
	t.Helper()
	b := dataFile(t, parts...)
	if strings.HasSuffix(parts[len(parts)-1], ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := out.ReadFrom(z); err != nil {
			t.Fatal(err)
		}
		b = out.Bytes()
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]map[string]string, 0, len(rows)-1)
	for _, r := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = r[i]
		}
		out = append(out, m)
	}
	return out
}

// catalogOffers reads five of the six real catalogues (GCP writes machines and accelerators apart), thinned by a stable hash.
func catalogOffers(t testing.TB, n int) []purser.Offer {
	t.Helper()
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0
		}
		return v
	}
	type ranked struct {
		o    purser.Offer
		hash uint64
	}
	var all []ranked
	seen := map[purser.OfferID]bool{}
	for _, provider := range []string{"aws", "azure", "lambda", "oci", "runpod"} {
		for _, r := range csvRows(t, "price-catalogs-2024-02", provider+".csv.gz") {
			s := purser.Shape{MilliCPU: int64(number(r["vCPUs"]) * 1000), MemoryMiB: int64(number(r["MemoryGiB"]) * 1024)}
			if name := r["AcceleratorName"]; name != "" {
				a, ok := purser.AcceleratorNamed(name)
				if !ok || number(r["AcceleratorCount"]) <= 0 {
					continue
				}
				s.Accelerator, s.Devices, s.DeviceMemoryMiB = a.Name, purser.MilliDevices(number(r["AcceleratorCount"])*1000), int64(a.MemoryGiB*1024)
			}
			for _, option := range []purser.PurchaseOption{purser.OnDemand, purser.Spot} {
				price := number(r["Price"])
				if option == purser.Spot {
					price = number(r["SpotPrice"])
				}
				o := purser.Offer{Provider: provider, Region: r["Region"], Zone: r["AvailabilityZone"], InstanceType: r["InstanceType"], Option: option,
					Shape: s, UnitPrice: purser.USDPerHourOf(price), Limit: purser.Unlimited}
				if price <= 0 || o.Check() != nil || seen[o.ID()] || (s.Devices == 0 && s.MilliCPU < 4000) {
					continue
				}
				seen[o.ID()] = true
				h := fnv.New64a()
				_, _ = h.Write([]byte(o.ID()))
				rank := h.Sum64()
				if s.Devices == 0 {
					rank = rank/8 + math.MaxUint64/8*7 // few of the many machines without accelerators
				}
				all = append(all, ranked{o, rank})
			}
		}
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Compare(a.hash, b.hash) })
	var out []purser.Offer
	for _, r := range all {
		if len(out) < n-20 && r.o.Devices > 0 {
			out = append(out, r.o)
		}
	}
	for _, r := range all {
		if len(out) < n && r.o.Devices == 0 {
			out = append(out, r.o)
		}
	}
	return out
}

// e0Input is the ladder with real offers, needs and run times.
func e0Input(t testing.TB, jobs, offers int, seed uint64) Input {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	in := Input{Now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), Offers: catalogOffers(t, offers)}
	pods := csvRows(t, "alibaba-gpu-v2023", "openb_pod_list_default.csv")
	philly := csvRows(t, "sia-sosp23", "philly.csv.gz")
	count := map[string]int{}
	for _, o := range in.Offers {
		if o.Devices > 0 {
			count[o.Accelerator]++
		}
	}
	var models []string
	for _, a := range purser.Accelerators() {
		if count[a.Name] >= 4 && a.Kind == purser.GPU {
			models = append(models, a.Name)
		}
	}
	classes := min(max(jobs/30, 10), 1000)
	groups := make([]purser.TaskGroup, classes)
	for i := range groups {
		groups[i] = e0Group(rng, i, pods[rng.IntN(len(pods))], philly[rng.IntN(len(philly))], models)
	}
	for i := range jobs {
		id := fmt.Sprintf("j%06d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(id), Project: "p", Name: id, Groups: []purser.TaskGroup{groups[i%classes]}})
	}
	for i, m := range models {
		if i%3 == 0 {
			in.Quotas = append(in.Quotas, purser.Quota{Name: "q-" + m, Limit: int64(max(jobs/20, 8)), Unit: purser.QuotaDevices, Accelerator: m, Option: purser.Spot})
		}
	}
	for i := range in.Offers {
		if i%30 == 3 {
			in.Offers[i].Provider, in.Offers[i].Option, in.Offers[i].Limit = "own", purser.Private, max(jobs/300, 1)
			in.Offers[i].UnitPrice /= 10
		}
	}
	return in
}

func e0Group(rng *rand.Rand, i int, pod, job map[string]string, models []string) purser.TaskGroup {
	number := func(s string) int64 {
		v, _ := strconv.ParseFloat(s, 64)
		return int64(v)
	}
	g := purser.TaskGroup{Name: fmt.Sprintf("g%d", i), Kind: purser.Training, Replicas: 1, Run: purser.Run{Command: "true"}}
	devices := number(pod["num_gpu"]) * 1000
	if devices == 1000 {
		for _, share := range []int64{125, 250, 500, 1000} {
			if number(pod["gpu_milli"]) <= share {
				devices = share
				break
			}
		}
	}
	cpu, memory := max(number(pod["cpu_milli"])/2, 100), max(number(pod["memory_mib"])/2, 128)
	if devices == 0 {
		g.Variants = []purser.Variant{{Name: "cpu", MilliCPU: cpu, MemoryMiB: memory, Throughput: 10}}
	} else {
		first := rng.IntN(len(models))
		for k := range 1 + rng.IntN(3) {
			m := models[(first+k)%len(models)]
			a, _ := purser.AcceleratorNamed(m)
			g.Variants = append(g.Variants, purser.Variant{Name: m, Accelerator: m, Devices: purser.MilliDevices(devices), MilliCPU: cpu, MemoryMiB: memory,
				Throughput: math.Max(a.BF16TFLOPS, 30) / 30})
		}
	}
	if i%5 == 0 {
		g.Kind, g.Replicas = purser.Inference, 0
		g.Demand, g.Headroom = g.Variants[0].Throughput*(0.5+3*rng.Float64()), 0.2
		g.Survive = purser.Survive{Level: purser.DomainZone, Share: 1}
		return g
	}
	hours := math.Max(float64(number(job["duration"])), 60) / 3600
	n := int(number(job["num_gpus"]))
	g.Work = hours * g.Variants[0].Throughput
	if n > 1 && n <= 16 {
		g.Replicas, g.Gang = n, true
		g.Work *= float64(n)
	}
	return g
}
