package purser

import (
	"math"
	"math/big"
	"strconv"
	"time"
)

// What a machine of one's own is taken to draw and to pay where its owner does not
// say. All are for estimates.
const (
	// WattsPerVCPU and WattsPerGiB are a server's CPU at full load and its memory,
	// the means over clouds' servers of the Cloud Carbon Footprint method.
	WattsPerVCPU = 3.5
	WattsPerGiB  = 0.392
	// DefaultPUE (power usage effectiveness) is what the whole site draws for each
	// watt of its machines: about the mean of the Uptime Institute's yearly surveys.
	DefaultPUE = 1.5
	// DefaultPerKWh is between what industry pays in the United States and in Europe.
	DefaultPerKWh Money = 150_000_000
)

// MachineWatts estimates what a machine of a shape draws under full load:
//
//	devices · Accelerator.Watts + vCPUs · WattsPerVCPU + GiB · WattsPerGiB
//
// Fans, disks and network are left out, which makes it too low, and few machines are
// at full load all the time, which makes it too high. It is false for an accelerator
// that Purser does not know.
func MachineWatts(s Shape) (float64, bool) {
	watts := float64(s.MilliCPU)/1000*WattsPerVCPU + float64(s.MemoryMiB)/1024*WattsPerGiB
	if s.Accelerator == "" {
		return watts, true
	}
	a, ok := AcceleratorNamed(s.Accelerator)
	if !ok {
		return 0, false
	}
	return watts + s.Devices.Devices()*a.Watts, true
}

// PowerPrice is what the electricity of an hour costs, rounded up to a nano-USD:
//
//	W/1000 · PUE · $/kWh
//
// Watts must be above 0 and at most 10⁹, a PUE lies between 1 and 10.
func PowerPrice(watts, pue float64, perKWh Money) (USDPerHour, error) {
	const op = "purser.PowerPrice"
	switch {
	case !(watts > 0 && watts <= 1e9):
		return 0, Errorf(KindInvalid, op, "%g W: a machine draws more than 0 W and at most 10⁹ W", watts)
	case !(pue >= 1 && pue <= 10):
		return 0, Errorf(KindInvalid, op, "a PUE of %g: it is what the site draws over what the machine draws, from 1 to 10", pue)
	case perKWh < 0:
		return 0, Errorf(KindInvalid, op, "the price of a kWh must not be negative")
	}
	price := new(big.Rat).Mul(decimalOf(watts), decimalOf(pue))
	price.Mul(price, new(big.Rat).SetFrac64(int64(perKWh), 1000))
	return ceilPrice(price, op)
}

// AmortizedPrice is what an hour of use costs of a machine that was bought, rounded
// up to a nano-USD:
//
//	cost / (hours of life · utilization)
//
// Utilization is the share of its life that the machine is in use, above 0 and at
// most 1: hours of use have to earn those in which it idles.
func AmortizedPrice(cost Money, life time.Duration, utilization float64) (USDPerHour, error) {
	const op = "purser.AmortizedPrice"
	switch {
	case cost < 0:
		return 0, Errorf(KindInvalid, op, "what a machine cost must not be negative")
	case life <= 0:
		return 0, Errorf(KindInvalid, op, "a machine's life must be above 0")
	case !(utilization > 0 && utilization <= 1):
		return 0, Errorf(KindInvalid, op, "a utilization of %g: it is a share above 0 and at most 1", utilization)
	}
	price := new(big.Rat).SetFrac(
		new(big.Int).Mul(big.NewInt(int64(cost)), big.NewInt(int64(time.Hour))), big.NewInt(int64(life)))
	return ceilPrice(price.Quo(price, decimalOf(utilization)), op)
}

// decimalOf is the finite number as its shortest decimal says it: 0.14 is 14/100, not
// the binary fraction nearest to it, so that round figures give round prices.
func decimalOf(f float64) *big.Rat {
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok {
		return new(big.Rat)
	}
	return r
}

func ceilPrice(nano *big.Rat, op string) (USDPerHour, error) {
	n, rest := new(big.Int).QuoRem(nano.Num(), nano.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		n.Add(n, big.NewInt(1))
	}
	if n.Cmp(big.NewInt(math.MaxInt64)) > 0 {
		return 0, Errorf(KindInvalid, op, "the price is more than can be counted")
	}
	return USDPerHour(n.Int64()), nil
}
