package aws

import (
	"cmp"
	"math"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
)

// families are the devices of instance families. They go before what the API says,
// which was NVIDIA for an H200 and A100 for both its sizes, and stand in for the
// names that the price files do not have.
var families = map[string]string{
	"g3": "M60", "g3s": "M60", "g4ad": "V520", "g4dn": "T4", "g5": "A10G", "g5g": "T4G",
	"g6": "L4", "gr6": "L4", "g6f": "L4", "gr6f": "L4", "g6e": "L40S", "g7e": "RTX-PRO-6000",
	"p2": "K80", "p3": "V100-16GB", "p3dn": "V100-32GB", "p4d": "A100-40GB", "p4de": "A100-80GB",
	"p5": "H100", "p5e": "H200", "p5en": "H200", "p6-b200": "B200", "p6-b300": "B300", "p6e-gb200": "GB200",
	"trn1": "TRAINIUM", "trn1n": "TRAINIUM", "trn2": "TRAINIUM2", "trn2u": "TRAINIUM2",
	"inf1": "INFERENTIA", "inf2": "INFERENTIA2", "dl1": "GAUDI", "dl2q": "AI100",
	"f1": "VU9P", "f2": "VU47P", "vt1": "U30",
}

// gone are families whose hardware is no longer run, although the price files still
// list them: none of their kind is in a capture of all regions' instance types of
// 2026-08. p3dn and g3s are p3 and g3 in other sizes.
var gone = map[string]bool{"g2": true, "g3": true, "g3s": true, "p2": true, "p3": true, "p3dn": true, "dl1": true, "f1": true}

// sizes are the devices of instance types whose GPU column in the price files is
// empty, and the shares of types that have a part of one.
var sizes = map[string]purser.MilliDevices{
	"inf1.xlarge": 1000, "inf1.2xlarge": 1000, "inf1.6xlarge": 4000, "inf1.24xlarge": 16000,
	"inf2.xlarge": 1000, "inf2.8xlarge": 1000, "inf2.24xlarge": 6000, "inf2.48xlarge": 12000,
	"trn1.2xlarge": 1000, "trn1.32xlarge": 16000, "trn1n.32xlarge": 16000,
	"trn2.3xlarge": 1000, "trn2.48xlarge": 16000, "trn2u.48xlarge": 16000, "dl2q.24xlarge": 8000,
	"f2.6xlarge": 1000, "f2.12xlarge": 2000, "f2.48xlarge": 8000,
	"vt1.3xlarge": 1000, "vt1.6xlarge": 2000, "vt1.24xlarge": 8000,
	"g6f.large": 125, "g6f.xlarge": 125, "g6f.2xlarge": 250, "g6f.4xlarge": 500, "gr6f.4xlarge": 500,
}

func family(instanceType string) string {
	f, _, _ := strings.Cut(instanceType, ".")
	return f
}

// devices are what an instance type has of a device, by the name that we go by. The
// memory of one is left to Purser's table: the API says 22888 MiB of an L4 and
// 512 GiB of a Trainium2, which have 24 and 96 GiB.
type devices struct {
	name  string
	count purser.MilliDevices
}

// devicesOf reads the one kind of device that an instance type has. Inferentia
// stands in two lists, so that the second is read only if the first is empty.
func devicesOf(t types.InstanceTypeInfo) devices {
	var d devices
	add := func(name *string, count purser.MilliDevices) {
		if d.name == "" || d.name == awssdk.ToString(name) {
			d.name, d.count = awssdk.ToString(name), d.count+count
		}
	}
	whole := func(n *int32) purser.MilliDevices { return purser.MilliDevices(awssdk.ToInt32(n)) * purser.OneDevice }
	switch {
	case t.GpuInfo != nil:
		for _, g := range t.GpuInfo.Gpus {
			add(g.Name, cmp.Or(shareOf(g), whole(g.Count)))
		}
	case t.FpgaInfo != nil:
		for _, f := range t.FpgaInfo.Fpgas {
			add(f.Name, whole(f.Count))
		}
	case t.NeuronInfo != nil && len(t.NeuronInfo.NeuronDevices) > 0:
		for _, n := range t.NeuronInfo.NeuronDevices {
			add(n.Name, whole(n.Count))
		}
	case t.InferenceAcceleratorInfo != nil:
		for _, a := range t.InferenceAcceleratorInfo.Accelerators {
			add(a.Name, whole(a.Count))
		}
	case t.MediaAcceleratorInfo != nil:
		for _, m := range t.MediaAcceleratorInfo.Accelerators {
			add(m.Name, whole(m.Count))
		}
	}
	if known := families[family(string(t.InstanceType))]; known != "" && d != (devices{}) {
		d.name = known
	}
	return d
}

// shareOf is a part of a GPU (size of the part × parts), whose Count is 0 then; 0
// for whole ones.
func shareOf(g types.GpuDeviceInfo) purser.MilliDevices {
	part := awssdk.ToFloat64(g.GpuPartitionSize)
	if !(part > 0 && part < 1) {
		return 0
	}
	return purser.MilliDevices(math.Round(part*float64(purser.OneDevice))) * purser.MilliDevices(awssdk.ToInt32(g.LogicalGpuCount))
}
