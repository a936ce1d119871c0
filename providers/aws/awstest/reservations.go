package awstest

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Reservation is capacity that was bought ahead.
type Reservation struct {
	ID, Type, Zone string
	Block          bool // a capacity block
	Total, Free    int
	State          string // active or scheduled
	From, Until    time.Time
	Tags           map[string]string
}

// Reserve adds a reservation.
func (c *Cloud) Reserve(region string, r Reservation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in(region).reservations = append(c.in(region).reservations, &r)
}

// take takes a machine out of a reservation.
func (c *Cloud) take(r *site, id string, w wanted) *failure {
	if id == "" {
		if w.option == "capacity-block" {
			return refuse("InvalidParameterCombination", "a capacity block must be named")
		}
		return nil
	}
	for _, v := range r.reservations {
		switch {
		case v.ID != id:
			continue
		case v.Type != w.kind || v.Block != (w.option == "capacity-block"):
			return refuse("InvalidParameterValue", "the reservation is for other machines")
		case v.State != "active":
			return refuse("InvalidCapacityReservationState", "the reservation is %s", v.State)
		case v.Free < 1:
			return refuse("ReservationCapacityExceeded", "The reservation %s has no capacity left", id)
		}
		v.Free--
		return nil
	}
	return refuse("InvalidCapacityReservationId.NotFound", "The reservation %s does not exist", id)
}

func (c *Cloud) freed(r *region, m *Machine) {
	for _, v := range r.reservations {
		if v.ID == m.Reservation {
			v.Free++
		}
	}
}

func (c *Cloud) describeReservations(r *site, form url.Values) (string, *failure) {
	by := filters(form)
	var found []*Reservation
	for _, v := range r.reservations {
		if passes(v.Tags, by) && (by["state"] == nil || slices.Contains(by["state"], v.State)) && (by["instance-type"] == nil || slices.Contains(by["instance-type"], v.Type)) {
			found = append(found, v)
		}
	}
	some, next, fail := page(c, found, form)
	if fail != nil {
		return "", fail
	}
	var b strings.Builder
	for _, v := range some {
		kind := "default"
		if v.Block {
			kind = "capacity-block"
		}
		b.WriteString(element("item", text("capacityReservationId", v.ID), text("instanceType", v.Type), text("availabilityZoneId", v.Zone),
			text("reservationType", kind), element("totalInstanceCount", itoa(v.Total)), element("availableInstanceCount", itoa(v.Free)),
			text("state", v.State), stamp("startDate", v.From), stamp("endDate", v.Until), tagSet(v.Tags)))
	}
	return element("capacityReservationSet", b.String()) + next, nil
}

// Type is what DescribeInstanceTypes says of a type.
type Type struct {
	Name     string
	VCPU     int
	MiB      int
	GPU      string // a device that stands in gpuInfo
	GPUs     int
	Neuron   string
	Neurons  int
	FPGA     string
	FPGAs    int
	DiskGB   int
	Fraction string // gpuPartitionSize
}

// Types are the instance types that every region knows.
var Types = []Type{
	{Name: "g5.xlarge", VCPU: 4, MiB: 16384, GPU: "A10G", GPUs: 1, DiskGB: 250},
	{Name: "p5.48xlarge", VCPU: 192, MiB: 2097152, GPU: "H100", GPUs: 8, DiskGB: 30400},
	{Name: "p5en.48xlarge", VCPU: 192, MiB: 2097152, GPU: "NVIDIA", GPUs: 8},
	{Name: "trn2.48xlarge", VCPU: 192, MiB: 2097152, Neuron: "Trainium2", Neurons: 16},
	{Name: "f2.6xlarge", VCPU: 24, MiB: 262144, FPGA: "Virtex UltraScale+ (VU47P)", FPGAs: 1},
	{Name: "g6f.large", VCPU: 2, MiB: 8192, GPU: "L4", Fraction: "0.125"},
	{Name: "m7i.xlarge", VCPU: 4, MiB: 16384},
}

func (t Type) xml() string {
	out := text("instanceType", t.Name) + element("vCpuInfo", text("defaultVCpus", itoa(t.VCPU))) + element("memoryInfo", text("sizeInMiB", itoa(t.MiB)))
	if t.DiskGB > 0 {
		out += element("instanceStorageInfo", text("totalSizeInGB", itoa(t.DiskGB)))
	}
	if t.GPU != "" {
		part := ""
		if t.Fraction != "" {
			part = text("gpuPartitionSize", t.Fraction) + text("logicalGpuCount", "1")
		}
		out += element("gpuInfo", element("gpus", element("item", text("name", t.GPU), element("count", itoa(t.GPUs)), part)))
	}
	if t.Neuron != "" {
		out += element("neuronInfo", element("neuronDevices", element("item", text("name", t.Neuron), element("count", itoa(t.Neurons)))))
	}
	if t.FPGA != "" {
		out += element("fpgaInfo", element("fpgas", element("item", text("name", t.FPGA), element("count", itoa(t.FPGAs)))))
	}
	return element("item", out)
}

func (c *Cloud) describeTypes(_ *site, form url.Values) (string, *failure) {
	var b strings.Builder
	for _, name := range list(form, "InstanceType") {
		i := slices.IndexFunc(Types, func(t Type) bool { return t.Name == name })
		if i < 0 {
			return "", refuse("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", name)
		}
		b.WriteString(Types[i].xml())
	}
	return element("instanceTypeSet", b.String()), nil
}
