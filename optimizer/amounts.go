package optimizer

import "purser"

// The dimensions of a machine and of a replica, in milli-devices, milli-vCPU and MiB.
const (
	dimDevice = iota
	dimCPU
	dimMemory
	dims
)

// amounts is a size or a capacity, one integer per dimension.
type amounts [dims]int64

func capacityOf(s purser.Shape) amounts {
	return amounts{int64(s.Devices), s.MilliCPU, s.MemoryMiB}
}

func sizeOf(v purser.Variant) amounts {
	return amounts{int64(v.Devices), v.MilliCPU, v.MemoryMiB}
}

func placedSize(pl purser.Placement) amounts {
	return amounts{int64(pl.Devices), pl.MilliCPU, pl.MemoryMiB}
}

// within says whether a fits in c.
func (a amounts) within(c amounts) bool {
	return a[0] <= c[0] && a[1] <= c[1] && a[2] <= c[2]
}

// plus is a + n·b.
func (a amounts) plus(b amounts, n int64) amounts {
	for d := range a {
		a[d] += n * b[d]
	}
	return a
}

// minus is a − b.
func (a amounts) minus(b amounts) amounts { return a.plus(b, -1) }

// copies is how many of size a fit in c, at most most.
func (a amounts) copies(c amounts, most int64) int64 {
	for d := range a {
		if a[d] > c[d] {
			return 0
		}
		if a[d] > 0 {
			most = min(most, c[d]/a[d])
		}
	}
	return most
}

// share is the largest part of c that a takes in any dimension, in millionths, rounded up and at least 1.
func (a amounts) share(c amounts) int64 {
	most := int64(1)
	for d := range a {
		if a[d] > 0 && c[d] > 0 {
			most = max(most, (a[d]*1_000_000+c[d]-1)/c[d])
		}
	}
	return min(most, 1_000_000)
}
