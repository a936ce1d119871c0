package purser

import (
	"math"
	"slices"
	"time"
)

// StorageClass is a kind of storage for data, models and checkpoints.
type StorageClass string

// The classes of storage. Where none is said, storage costs nothing and takes no time.
const (
	StorageCold     StorageClass = "cold"     // objects that are seldom read: cheap to keep, dear to read, read at once
	StorageStandard StorageClass = "standard" // objects that are read often
	StorageNVMe     StorageClass = "nvme"     // a copy on the machine's own disks
)

// StorageClasses are all of them, for messages.
func StorageClasses() []StorageClass {
	return []StorageClass{StorageCold, StorageStandard, StorageNVMe}
}

func (c StorageClass) known() bool { return c == "" || slices.Contains(StorageClasses(), c) }

// storagePrice is what a provider's object storage costs: to keep a GB for a month of 730 hours, and to read a GB that is cold.
type storagePrice struct{ month, retrieval float64 }

// storagePrices are public list prices for the first terabytes in the providers' cheapest regions in the United States: S3 Standard and
// the retrieval of Glacier Instant Retrieval, Cloud Storage Standard and Coldline, Blob Storage Hot (LRS) and Cold, Object Storage
// Standard and Infrequent Access. Other providers count as otherStorage, the figures of S3; storage of one's own costs nothing.
var (
	storagePrices = map[string]storagePrice{
		"aws": {0.023, 0.03}, "gcp": {0.020, 0.02}, "azure": {0.018, 0.03}, "oci": {0.0255, 0.01},
	}
	otherStorage = storagePrice{0.023, 0.03}
)

// storageOf is what storage costs at a provider.
func storageOf(provider string) storagePrice {
	if p, ok := storagePrices[provider]; ok {
		return p
	}
	return otherStorage
}

// How fast a replica reads and writes, in GB per second. From object storage: four requests at once at the 85 MB/s each that Amazon's
// performance guidelines for S3 reckon with; cold classes that answer at once are as fast. Onto the machine's own disks data is copied
// over as many connections as the disks can take: the 1.4 GB/s that Google documents for writing to eight local SSDs.
const (
	objectGBPerSecond = 4 * 0.085
	nvmeGBPerSecond   = 1.4
)

// transferTime is how long reading or writing so many GB takes; 0 where no class is said.
func (c StorageClass) transferTime(sizeGB float64) time.Duration {
	if c == "" {
		return 0
	}
	rate := objectGBPerSecond
	if c == StorageNVMe {
		rate = nvmeGBPerSecond
	}
	return time.Duration(math.Round(min(sizeGB/rate, maxTransfer.Seconds()) * float64(time.Second)))
}

// maxTransfer is longer than any data is under way.
const maxTransfer = 366 * 24 * time.Hour

// Data says where a group's data lies and how much of it a replica reads.
type Data struct {
	Provider string        `json:"provider,omitempty"`
	Region   string        `json:"region,omitempty"`
	SizeGB   float64       `json:"size_gb,omitempty"`      // 10⁹ bytes read by each replica
	Storage  StorageClass  `json:"storage,omitempty"`      // where it lies or is copied to; empty: not counted
	Load     time.Duration `json:"load_time_ns,omitempty"` // measured time until it is read; 0: by the class
}

// Egress is the price of moving data out of its place, in USD per GB: nothing
// within a region, a cloud's own cross-region rate within a provider, and the
// internet rate between providers. Public list prices of the three large clouds
// lie at or a little under these figures for the first terabytes.
func (d Data) Egress(o Offer) Money {
	if d.SizeGB <= 0 || d.Provider == "" || (d.Provider == o.Provider && d.Region == o.Region) {
		return 0
	}
	perGB := 0.09
	if d.Provider == o.Provider {
		perGB = 0.02
	}
	return MoneyOf(d.SizeGB * perGB)
}

// LoadTime is how long a replica of the group reads its data or model before it starts to work, each time that it starts: as measured,
// or by the class of storage.
func (d Data) LoadTime() time.Duration {
	if d.Load > 0 {
		return d.Load
	}
	return d.Storage.transferTime(d.SizeGB)
}

// Times are how long writing a checkpoint holds the work up (δ) and how long starting from one takes (r): as said, or else by the size
// and the class. One on NVMe is written to the machine's disks and copied to object storage while the work goes on, so it is read from there.
func (c Checkpoint) Times() (write, restart time.Duration) {
	write, restart = c.Cost, c.Restart
	if c.SizeGB > 0 && write == 0 {
		write = c.Storage.transferTime(c.SizeGB)
	}
	if c.SizeGB > 0 && restart == 0 && c.Storage != "" {
		restart = StorageStandard.transferTime(c.SizeGB)
	}
	return write, restart
}

// DiskMiB is the room that a replica of the group needs on its machine's own disks: for data and checkpoints on NVMe.
func (g *TaskGroup) DiskMiB() int64 {
	need := 0.0
	if g.Data.Storage == StorageNVMe {
		need += g.Data.SizeGB
	}
	if g.Checkpoint.Storage == StorageNVMe {
		need += g.Checkpoint.SizeGB
	}
	return int64(math.Ceil(min(need*1e9/(1<<20), maxMiB+1)))
}

// DiskFits says whether a replica of v finds the room that it needs on the machine's own disks. Disks are shared out with the devices of
// a machine, or with its vCPUs where it has none: a replica may use as large a part of them as it uses of those, so that whatever
// fits beside it fits on the disks, too. Disks that are not known have no room.
func (g *TaskGroup) DiskFits(v Variant, s Shape) bool {
	need := g.DiskMiB()
	if need == 0 {
		return true
	}
	part, whole := v.MilliCPU, s.MilliCPU
	if s.Devices > 0 {
		part, whole = int64(v.Devices), int64(s.Devices)
	}
	return need <= s.DiskMiB && float64(need)*float64(whole) <= float64(s.DiskMiB)*float64(part)
}

// ExtraCost is what a replica of the group costs on a machine of the offer beside the machine, when it comes there and runs for a time:
// moving its data, reading it where it is cold, and keeping its checkpoint with the machine's provider. What the data costs where
// it lies is paid whether or not the group runs, and is not in it.
func (g *TaskGroup) ExtraCost(o Offer, run time.Duration) Money {
	cost := g.Egress(o)
	if g.Data.Storage == StorageCold && g.Data.Provider != "" {
		cost += MoneyOf(g.Data.SizeGB * storageOf(g.Data.Provider).retrieval)
	}
	if c := g.Checkpoint; c.SizeGB > 0 && c.Storage != "" && o.Option != Private {
		cost += MoneyOf(c.SizeGB * storageOf(o.Provider).month * run.Hours() / hoursPerMonth)
	}
	return cost
}

// hoursPerMonth makes a month of storage.
const hoursPerMonth = 730

// maxDataGB is an exabyte: more is a slip of the pen.
const maxDataGB = 1e9

// checkStorage says which field of the group's storage is wrong and why, or "".
func (g *TaskGroup) checkStorage() (field, message string) {
	switch d, c := g.Data, g.Checkpoint; {
	case !d.Storage.known():
		return "data.storage", "storage is cold, standard or nvme"
	case d.Load < 0 || d.Load > maxTransfer:
		return "data.load_time", "the time that loading takes lies between 0 and a year"
	case (d.Storage != "" || d.Load > 0) && d.SizeGB == 0:
		return "data.size_gb", "say how much data is read"
	case !c.Storage.known():
		return "checkpoint.storage", "storage is standard or nvme"
	case c.Storage == StorageCold:
		return "checkpoint.storage", "cold storage bills what is written for three months at the least: checkpoints go to standard or nvme"
	case !(c.SizeGB >= 0 && c.SizeGB <= maxDataGB):
		return "checkpoint.size_gb", "the size of a checkpoint lies between 0 and an exabyte, in GB"
	case c.Storage != "" && c.SizeGB == 0:
		return "checkpoint.size_gb", "say how large a checkpoint is"
	}
	return "", ""
}
