package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"purser"
	"purser/optimizer"
)

// Unlike makes the problem of one rung of the second ladder: jobs as on the
// first, but no two alike. Each has a pod and a run of its own, of whose vCPUs,
// memory and time it takes a part that no other takes. The same
// arguments give the same problem.
func (l *Ladder) Unlike(jobs, offers int, seed uint64) optimizer.Input {
	rng := rand.New(rand.NewPCG(seed, uint64(jobs)|1<<40))
	in := optimizer.Input{Now: catalogueDate, Horizon: 24 * time.Hour, Offers: l.thin(offers)}
	limited := limitedFamilies(rng, in.Offers)
	market := marketOf(in.Offers, limited)
	asked := map[string]float64{} // devices by the first accelerator of the job
	for i := range jobs {
		group, replicas := l.group(rng, market, i)
		unlike(rng, &group)
		id := fmt.Sprintf("u%05d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(id), Project: "ladder", Name: id, Groups: []purser.TaskGroup{group}})
		v := group.Variants[0]
		asked[v.Accelerator] += v.Devices.Devices() * float64(replicas)
	}
	in.Quotas = quotas(limited, asked)
	in.Offers = append(in.Offers, private(in.Offers, asked)...)
	return in
}

// unlike tells a group apart from every other: by its vCPUs and memory, which
// shrink by up to a third, and by its run time. What shrinks still fits.
func unlike(rng *rand.Rand, g *purser.TaskGroup) {
	cpu, memory := 1-rng.Float64()/3, 1-rng.Float64()/3
	for i := range g.Variants {
		v := &g.Variants[i]
		v.MilliCPU, v.MemoryMiB = max(1, int64(float64(v.MilliCPU)*cpu)), max(1, int64(float64(v.MemoryMiB)*memory))
	}
	if g.Kind == purser.Training {
		g.RunTime = time.Duration(float64(g.RunTime) * (0.8 + 0.4*rng.Float64())).Round(time.Second)
	}
}
