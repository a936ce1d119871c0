package bench

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"time"

	"purser"
	"purser/simulator"
)

// readEvaFull makes the world of E1 (c): all pods of Alibaba's list, one job each, as
// the authors of Eva make theirs. Devices, vCPUs and GiB are rounded up; pods that
// failed are dropped, and those that no machine of the catalogue holds. A job arrives
// when its pod was created and works until the pod was deleted.
//
// The authors give each demand one of their nine programs by lot, and their file is
// not published. Mix 0 takes what the published 200 jobs say of a demand and draws the
// others; the other mixes draw all, each in its own way.
func readEvaFull(dir, catalogue string, mix uint64) (simulator.World, error) {
	w, err := readEvaWorld(dir, catalogue)
	if err != nil {
		return w, err
	}
	mould := newEvaMould(w.Jobs, mix)
	w.Jobs = nil
	path := filepath.Join(dir, "alibaba-gpu-v2023", "openb_pod_list_default.csv")
	err = eachOpenb(path, func(r *openbRow) error {
		const most = 1 << 40
		devices, cpu, memory := r.number("num_gpu", 0, maxDevices), r.number("cpu_milli", 0, maxSize), r.number("memory_mib", 0, maxSize)
		from, to := r.number("creation_time", 0, most), r.number("deletion_time", 0, most)
		switch {
		case r.err != nil:
			return r.err
		case r.text("pod_phase") == "Failed":
			return nil
		case to < from:
			return fmt.Errorf("the pod was deleted at %d and created at %d", to, from)
		}
		need := amount{devices, (cpu + 999) / 1000, (memory + 1023) / 1024}
		if !slices.ContainsFunc(w.Offers, func(o simulator.Offer) bool { return simulator.CanRun(packTask{need: need}.variant(), o) }) {
			return nil
		}
		j := mould.job(need)
		j.Arrives, j.Work = time.Duration(from)*time.Second, time.Duration(to-from)*time.Second
		w.Jobs = append(w.Jobs, j)
		return nil
	})
	if err == nil && len(w.Jobs) == 0 {
		err = purser.Errorf(purser.KindInvalid, "bench", "%s: no pod fits a machine", path)
	}
	slices.SortStableFunc(w.Jobs, func(a, b simulator.Job) int { return cmp.Compare(a.Arrives, b.Arrives) })
	return w, err
}

// evaMould makes jobs of a demand: which program they run, and its delays.
type evaMould struct {
	mix      uint64
	programs []simulator.Job // one of each, by name
	known    map[simulator.Amount]simulator.Job
}

func newEvaMould(jobs []simulator.Job, mix uint64) *evaMould {
	m := &evaMould{mix: mix, known: map[simulator.Amount]simulator.Job{}}
	for _, j := range jobs {
		at, ok := slices.BinarySearchFunc(m.programs, j.Program, func(a simulator.Job, p string) int { return cmp.Compare(a.Program, p) })
		if !ok {
			m.programs = slices.Insert(m.programs, at, j)
		}
		if _, ok := m.known[j.Amount()]; mix == 0 && !ok {
			m.known[j.Amount()] = j
		}
	}
	return m
}

// job is one of a demand; all of one demand are alike.
func (m *evaMould) job(need amount) simulator.Job {
	v := packTask{need: need}.variant()
	key := simulator.Job{Needs: v}.Amount()
	if j, ok := m.known[key]; ok {
		return j
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %v", m.mix, need)
	j := m.programs[h.Sum64()%uint64(len(m.programs))]
	j.Name, j.Needs = fmt.Sprintf("%s%v", j.Program, need), v
	m.known[key] = j
	return j
}
