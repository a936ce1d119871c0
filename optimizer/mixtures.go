package optimizer

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"
)

// slots are where the class's configurations can have replicas, at the row prices.
func (r *relaxed) slots(s *serviceRows, d *duals) (slots []slot, restSize float64) {
	cl := &r.p.classes[s.class]
	for i, domain := range s.domains {
		for v, row := range s.rows[i] {
			if row >= 0 {
				slots = append(slots, slot{v, domain, cl.variants[v].rate, d.rows[row]})
			}
		}
	}
	rest := map[int]bool{}
	for v := range cl.variants {
		has := cl.need.level < 0
		for domain, here := range s.where[v] {
			if here && !contains(s.domains, int32(domain)) {
				rest[domain] = true
				has = true
			}
		}
		if r.lenient() && cl.variants[v].kind > 0 {
			continue
		}
		if !s.closed && (has || v == s.fastest) {
			slots = append(slots, slot{v, -1, cl.variants[v].rate, d.rows[s.rest[v]]})
		}
	}
	restSize = math.Max(1, float64(len(rest)))
	if r.lenient() || len(rest) == 0 {
		restSize = math.Inf(1)
	}
	return slots, restSize
}

func contains(list []int32, x int32) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// addFirstConfigs gives each service a configuration that the missed replicas can serve alone, so that the program has a solution. Where
// nothing may be missed it is dear and no part of the bound.
func (r *relaxed) addFirstConfigs() error {
	for i := range r.services {
		s := &r.services[i]
		cl := &r.p.classes[s.class]
		if cl.sizes {
			if err := r.addSizes(s); err != nil {
				return err
			}
			continue
		}
		cost := 0.0
		if !r.lenient() {
			cost = r.dear(s.class)
		}
		at, err := r.addOther(cost, 0, math.Inf(1), []int32{s.convex, s.rest[s.fastest]}, []float64{1, -float64(cl.least)})
		if err != nil {
			return err
		}
		if !r.lenient() {
			r.dears = append(r.dears, at)
		} else {
			s.configs = append(s.configs, configColumn{parts: config{{s.fastest, -1, cl.least}}, at: at})
		}
	}
	return nil
}

// configNodes bounds one search for a configuration.
const configNodes = 5_000

// priceConfigs adds to each service the configurations that are cheapest at the row prices, where these are less than its configurations
// cost now. worth, by service, is proven: no configuration costs less.
func (r *relaxed) priceConfigs(ctx context.Context, d *duals, workers int) (added int, worth []int64, err error) {
	worth = make([]int64, len(r.services))
	searches := make([]*configSearch, len(r.services))
	inParallel(len(r.services), workers, func(i int) {
		s := &r.services[i]
		if s.rest == nil || ctx.Err() != nil {
			return // gangs: every variant and zone is there already
		}
		if r.p.classes[s.class].sizes {
			worth[i] = r.worthOfSizes(s, d)
			return
		}
		slots, restSize := r.slots(s, d)
		now := d.rows[s.convex]
		ceiling := now - (now >> 23) - 1
		asked := []int64{ceiling, int64(math.Float64bits(restSize))}
		for _, sl := range slots {
			asked = append(asked, int64(sl.variant), int64(sl.domain), sl.price)
		}
		if slices.Equal(asked, s.asked) {
			worth[i] = s.worth // and what was found then is there already
			return
		}
		cl := &r.p.classes[s.class]
		need := cl.need
		if need.machines && r.lenient() {
			// A missed replica is on no machine: which can be lost is not asked then.
			rate := math.Max(need.rate, need.keep)
			need = need.careless()
			need.rate = rate
		}
		searches[i] = newConfigSearch(cl, need, slots, restSize)
		worth[i] = searches[i].solve(configNodes, ceiling)
		s.asked, s.worth = asked, worth[i]
	})
	if ctx.Err() != nil {
		return 0, nil, errStopped
	}
	for i, search := range searches {
		if search == nil {
			continue
		}
		for _, f := range search.most {
			ok, err := r.addConfig(&r.services[i], search.slots, f.counts)
			if err != nil {
				return 0, nil, err
			}
			if ok {
				added++
			}
		}
	}
	return added, worth, nil
}

// inParallel calls do for every number below n.
func inParallel(n, workers int, do func(i int)) {
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	wg.Wait()
}

// addConfig adds a column: so many replicas of each row for one service.
func (r *relaxed) addConfig(s *serviceRows, slots []slot, counts []int64) (bool, error) {
	var cfg config
	var key []byte
	rows, values := []int32{s.convex}, []float64{1}
	for i, n := range counts {
		if n == 0 {
			continue
		}
		row := s.rest[slots[i].variant]
		for k, domain := range s.domains {
			if domain == slots[i].domain {
				row = s.rows[k][slots[i].variant]
			}
		}
		cfg = append(cfg, configPart{slots[i].variant, slots[i].domain, n})
		rows, values = append(rows, row), append(values, -float64(n))
		key = binary.LittleEndian.AppendUint32(key, uint32(row))
		key = binary.LittleEndian.AppendUint64(key, uint64(n))
	}
	if s.keys[string(key)] {
		return false, nil
	}
	s.keys[string(key)] = true
	at, err := r.addOther(0, 0, math.Inf(1), rows, values)
	s.configs = append(s.configs, configColumn{parts: cfg, at: at})
	return true, err
}
