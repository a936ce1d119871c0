package csvfile

import (
	"fmt"

	"purser"
	"purser/pricing"
)

// builder makes rows from records.
type builder struct {
	name  string
	opt   Options
	known map[string]correction         // by instance type, found once for all its lines
	named map[string]purser.Accelerator // by name; the zero value for an unknown one
	rows  []pricing.Row
}

func (b *builder) place(line int) string { return fmt.Sprintf("%s:%d", b.name, line) }

// offer makes the offer of a record without option and price.
func (b *builder) offer(rec record) purser.Offer {
	o := purser.Offer{
		Provider: b.opt.Provider, Region: rec.region, Zone: rec.zone, InstanceType: rec.instanceType,
		Shape:  purser.Shape{Devices: rec.devices, MilliCPU: rec.milliCPU, MemoryMiB: rec.memoryMiB},
		Limit:  purser.Unlimited,
		Source: b.opt.Source, ObservedAt: b.opt.AsOf, ValidFrom: b.opt.AsOf,
	}
	name := rec.accelerator
	c, ok := b.known[rec.instanceType]
	if !ok {
		c = correctionFor(b.opt.Provider, rec.instanceType)
		b.known[rec.instanceType] = c
	}
	if c.accelerator != "" {
		name = c.accelerator
	}
	if c.devices != 0 {
		o.Devices = c.devices
	}
	a := b.accelerator(name)
	o.Accelerator, o.DeviceMemoryMiB = a.Name, int64(a.MemoryGiB*1024)
	return o
}

// accelerator finds a model by name once for all lines that name it.
func (b *builder) accelerator(name string) purser.Accelerator {
	a, ok := b.named[name]
	if !ok && name != "" {
		a, _ = purser.AcceleratorNamed(name)
		b.named[name] = a
	}
	return a
}

// add appends a row for each price that is offered; a machine without any is one
// row that says so. Name is the accelerator's as the file has it.
func (b *builder) add(o purser.Offer, p prices, name, place string) {
	row := pricing.Row{Offer: o, Place: place}
	if c := b.known[o.InstanceType]; o.Accelerator == "" && c.accelerator != "" {
		name = c.accelerator
	}
	if o.Accelerator == "" {
		row.AcceleratorName = name
	}
	if !p.hasOnDemand && !p.hasSpot {
		row.Offer.Option = purser.OnDemand
		row.Reason, row.Detail = purser.QuarantineNoPrice, "the list has neither an on-demand nor a spot price for it"
		b.rows = append(b.rows, row)
		return
	}
	if p.hasOnDemand {
		row.Offer.Option, row.Offer.UnitPrice = purser.OnDemand, p.onDemand
		b.rows = append(b.rows, row)
	}
	if p.hasSpot {
		row.Offer.Option, row.Offer.UnitPrice = purser.Spot, p.spot
		b.rows = append(b.rows, row)
	}
}
