package aws

import (
	"cmp"
	"context"
	"math"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
)

// devices are what families have whose devices the API names wrongly, or with a name
// that two models share.
var devices = map[string]string{
	"p4d": "A100-40GB", "p4de": "A100-80GB", "p5e": "H200", "p5en": "H200", "f2": "VU47P", "g7e": "RTX-PRO-6000",
}

// mostTypes is how many types one call may ask for by name.
const mostTypes = 100

// shapes are what machines of the types have.
func (p *Provider) shapes(ctx context.Context, region string, names []string) (map[string]purser.Shape, error) {
	out := map[string]purser.Shape{}
	for len(names) > 0 {
		in := &ec2.DescribeInstanceTypesInput{}
		for _, n := range names[:min(len(names), mostTypes)] {
			in.InstanceTypes = append(in.InstanceTypes, types.InstanceType(n))
		}
		names = names[len(in.InstanceTypes):]
		page, err := p.ec2(region).DescribeInstanceTypes(ctx, in)
		if err != nil {
			return nil, failed(ctx, opQuotas, "ec2:DescribeInstanceTypes in "+region, err)
		}
		for _, t := range page.InstanceTypes {
			out[string(t.InstanceType)] = shapeOf(t)
		}
	}
	return out, nil
}

func shapeOf(t types.InstanceTypeInfo) purser.Shape {
	var s purser.Shape
	if t.VCpuInfo != nil {
		s.MilliCPU = int64(awssdk.ToInt32(t.VCpuInfo.DefaultVCpus)) * 1000
	}
	if t.MemoryInfo != nil {
		s.MemoryMiB = awssdk.ToInt64(t.MemoryInfo.SizeInMiB)
	}
	if t.InstanceStorageInfo != nil {
		s.DiskMiB = awssdk.ToInt64(t.InstanceStorageInfo.TotalSizeInGB) * 1_000_000_000 >> 20
	}
	name, count := devicesOf(t)
	family, _, _ := strings.Cut(string(t.InstanceType), ".")
	if known, ok := purser.AcceleratorNamed(cmp.Or(devices[family], name)); ok && count > 0 {
		s.Accelerator, s.Devices = known.Name, count
	}
	return s
}

// devicesOf reads the one kind of device that a type has. A part of a GPU has a count
// of 0; Inferentia stands in a second list too, which is not read.
func devicesOf(t types.InstanceTypeInfo) (name string, count purser.MilliDevices) {
	add := func(n *string, whole *int32) {
		name, count = awssdk.ToString(n), count+purser.MilliDevices(awssdk.ToInt32(whole))*purser.OneDevice
	}
	switch {
	case t.GpuInfo != nil:
		for _, g := range t.GpuInfo.Gpus {
			add(g.Name, g.Count)
			if part := awssdk.ToFloat64(g.GpuPartitionSize); part > 0 && part < 1 {
				count = purser.MilliDevices(math.Round(part*float64(purser.OneDevice))) * purser.MilliDevices(awssdk.ToInt32(g.LogicalGpuCount))
			}
		}
	case t.FpgaInfo != nil:
		for _, f := range t.FpgaInfo.Fpgas {
			add(f.Name, f.Count)
		}
	case t.NeuronInfo != nil:
		for _, n := range t.NeuronInfo.NeuronDevices {
			add(n.Name, n.Count)
		}
	}
	return name, count
}
