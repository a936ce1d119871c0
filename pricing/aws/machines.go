package aws

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
	"purser/pricing"
)

// machine is an instance type as a region has it.
type machine struct {
	shape          purser.Shape
	device         string // as AWS names it, where Purser does not know it
	onDemand, spot bool   // may be bought so
}

// machines are the instance types of a region and the zones that sell them.
type machines struct {
	types map[string]machine
	zones map[string][]string // by type, zone ids in order
}

// machines asks for the instance types of a region and where they are sold.
func (a api) machines(ctx context.Context, op, region string) (machines, error) {
	m := machines{types: map[string]machine{}, zones: map[string][]string{}}
	client := a.ec2(region)
	kinds := ec2.NewDescribeInstanceTypesPaginator(client, &ec2.DescribeInstanceTypesInput{MaxResults: awssdk.Int32(100)})
	for kinds.HasMorePages() {
		page, err := kinds.NextPage(ctx)
		if err != nil {
			return m, call{op, "ec2:DescribeInstanceTypes", region}.failed(ctx, err)
		}
		for _, t := range page.InstanceTypes {
			m.types[string(t.InstanceType)] = machineOf(t)
		}
	}
	places := ec2.NewDescribeInstanceTypeOfferingsPaginator(client, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZoneId, MaxResults: awssdk.Int32(1000),
	})
	for places.HasMorePages() {
		page, err := places.NextPage(ctx)
		if err != nil {
			return m, call{op, "ec2:DescribeInstanceTypeOfferings", region}.failed(ctx, err)
		}
		for _, o := range page.InstanceTypeOfferings {
			t := string(o.InstanceType)
			m.zones[t] = append(m.zones[t], strings.Clone(awssdk.ToString(o.Location)))
		}
	}
	for t, zones := range m.zones {
		slices.Sort(zones)
		m.zones[t] = slices.Compact(zones)
	}
	return m, nil
}

func machineOf(t types.InstanceTypeInfo) machine {
	m := machine{
		onDemand: slices.Contains(t.SupportedUsageClasses, types.UsageClassTypeOnDemand),
		spot:     slices.Contains(t.SupportedUsageClasses, types.UsageClassTypeSpot),
	}
	if t.VCpuInfo != nil {
		m.shape.MilliCPU = int64(awssdk.ToInt32(t.VCpuInfo.DefaultVCpus)) * 1000
	}
	if t.MemoryInfo != nil {
		m.shape.MemoryMiB = awssdk.ToInt64(t.MemoryInfo.SizeInMiB)
	}
	if t.InstanceStorageInfo != nil {
		m.shape.DiskMiB = awssdk.ToInt64(t.InstanceStorageInfo.TotalSizeInGB) * 1_000_000_000 >> 20
	}
	return m.with(devicesOf(t))
}

// with adds the devices, by Purser's name where there is one.
func (m machine) with(d devices) machine {
	m.shape.Devices = d.count
	if d.name == "" {
		return m
	}
	if known, ok := purser.AcceleratorNamed(d.name); ok {
		m.shape.Accelerator = known.Name
	} else {
		m.device = d.name
	}
	return m
}

// row makes a row without price.
func (m machine) row(o purser.Offer, place string) pricing.Row {
	o.Provider, o.Shape, o.Limit = provider, m.shape, purser.Unlimited
	return pricing.Row{Offer: o, AcceleratorName: m.device, Place: place}
}

// zoneForm is the id of a zone of the region itself. Local and Wavelength zones,
// such as use1-atl2-az1, have prices of their own.
var zoneForm = regexp.MustCompile(`^[a-z]+[0-9]+-az[0-9]+$`)

// priced fills in a price as AWS writes it, or says what is wrong with it.
func priced(r pricing.Row, usd string) pricing.Row {
	p, err := purser.ParseUSDPerHour(usd)
	if err != nil {
		r.Reason, r.Detail = purser.QuarantineNoPrice, "its price is \""+clip(usd)+"\", which is no number"
	}
	r.Offer.UnitPrice = p
	return r
}

// earlier is the earlier of two times, in UTC.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a.UTC()
	}
	return b.UTC()
}
