package bench

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
)

// melangePrices are the paper's prices in USD per hour, by the columns of its tables.
var melangePrices = []struct {
	column string
	price  float64
}{{"L4", 0.70}, {"A10G", 1.01}, {"A100", 3.67}, {"H100", 7.516}}

// MelangePaper recomputes the totals of Mélange's allocation tables (appendix C): over
// all rates, its own fleets and those of the best single type that is given for each of
// these rates. A row whose machines do not come to its cost within 0.02 USD is invalid.
func MelangePaper(dir string) ([]Figure, error) {
	type table struct {
		set  string
		tpot float64
	}
	type column struct {
		sum  float64
		rows int
	}
	tables := map[table]map[string]column{}
	numbers := []string{"tpot_slo_ms", "rate_req_s", "cost_usd_h"}
	columns := append([]string{"dataset", "solver"}, numbers...)
	for _, p := range melangePrices {
		columns = append(columns, p.column)
	}
	err := fleetTable(filepath.Join(dir, fleetPaper), columns, true, func(r fleetRow) error {
		x, err := r.numbers(numbers...)
		if err != nil {
			return err
		}
		sum := 0.0
		for _, p := range melangePrices {
			n, err := r.numbers(p.column)
			if err != nil {
				return err
			}
			sum += n[0] * p.price
		}
		if math.Abs(sum-x[2]) > 0.02+1e-9 {
			return fmt.Errorf("the machines come to %.3f and not to %.3f", sum, x[2])
		}
		t := table{r["dataset"], x[0]}
		if tables[t] == nil {
			tables[t] = map[string]column{}
		}
		c := tables[t][r["solver"]]
		tables[t][r["solver"]] = column{c.sum + sum, c.rows + 1}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []Figure
	compare := func(a, b table) int { return cmp.Or(cmp.Compare(a.set, b.set), cmp.Compare(b.tpot, a.tpot)) }
	for _, t := range slices.SortedFunc(maps.Keys(tables), compare) {
		own, best, which := tables[t]["melange"], math.Inf(1), ""
		for _, solver := range slices.Sorted(maps.Keys(tables[t])) {
			if c := tables[t][solver]; solver != "melange" && c.rows == own.rows && c.sum < best {
				best, which = c.sum, solver
			}
		}
		name := fmt.Sprintf("paper, %s %g ms", t.set, t.tpot)
		out = append(out, Figure{Case: name, Method: "Mélange", Value: own.sum, Unit: "USD/h"})
		if which != "" {
			out = append(out, Figure{Case: name, Method: singleMethod, Value: best, Unit: "USD/h, " + which},
				Figure{Case: name, Method: savingMethod, Value: 1 - own.sum/best, Unit: "share"})
		}
	}
	return out, nil
}
