package ledger

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"purser"
)

// whole is the share of a whole machine. Shares are integers, so that they are the
// same on every processor.
const whole = 1_000_000_000_000

// The weights ω of devices, vCPU and memory, in tenths.
var (
	withDevices    = [3]uint64{8, 1, 1}
	withoutDevices = [3]uint64{0, 5, 5}
)

// share is Σ ω_d size_d/cap_d of a task on a machine, in parts of whole, rounded
// down. See the package comment.
func share(shape purser.Shape, t purser.Task) uint64 {
	omega := withoutDevices
	if shape.Devices > 0 {
		omega = withDevices
	}
	sizes := [3]int64{int64(t.Devices), t.MilliCPU, t.MemoryMiB}
	caps := [3]int64{int64(shape.Devices), shape.MilliCPU, shape.MemoryMiB}
	var sum, weights uint64
	for d := range omega {
		if caps[d] > 0 {
			size := uint64(min(max(sizes[d], 0), caps[d]))
			sum += mulDiv(omega[d]*whole, size, uint64(caps[d]))
			weights += omega[d]
		}
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

// mulDiv is a·b/c without overflow between; b ≤ c.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// split divides an amount in the ratio of the weights, exactly: parts are rounded
// down and what is left goes to the largest remainders, earlier ones first. With
// weights that are all zero the last part takes all.
func split(m purser.Money, weights []uint64) []purser.Money {
	parts := make([]purser.Money, len(weights))
	var total uint64
	for _, w := range weights {
		total += w
	}
	if total == 0 || m <= 0 {
		parts[len(parts)-1] = m
		return parts
	}
	remainders := make([]uint64, len(weights))
	order := make([]int, len(weights))
	left := m
	for i, w := range weights {
		hi, lo := bits.Mul64(uint64(m), w)
		q, r := bits.Div64(hi, lo, total)
		parts[i], remainders[i], order[i] = purser.Money(q), r, i
		left -= parts[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	for _, i := range order[:left] {
		parts[i]++
	}
	return parts
}

// Projection is what a month will have cost at its end if the machines that run
// now, at rate together, run on until then: month to date + rate · time left.
func Projection(monthToDate purser.Money, rate purser.USDPerHour, now, monthEnd time.Time) purser.Money {
	return monthToDate + rate.For(monthEnd.Sub(now))
}

// Month gives the calendar month of UTC that a time lies in, as [begin, end).
func Month(t time.Time) (begin, end time.Time) {
	t = t.UTC()
	begin = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	return begin, begin.AddDate(0, 1, 0)
}
