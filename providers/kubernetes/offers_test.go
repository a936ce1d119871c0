package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
)

// pod is a pod of somebody else that runs.
func pod(name, node string, asks ...string) corev1.Pod {
	requests := corev1.ResourceList{}
	for i := 0; i < len(asks); i += 2 {
		requests[corev1.ResourceName(asks[i])] = resource.MustParse(asks[i+1])
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: requests}}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

func has(words ...string) map[corev1.ResourceName]string {
	out := map[corev1.ResourceName]string{"cpu": "64", "memory": "512Gi"}
	for i := 0; i < len(words); i += 2 {
		out[corev1.ResourceName(words[i])] = words[i+1]
	}
	return out
}

func nvidia(product string) map[string]string {
	return map[string]string{"nvidia.com/gpu.product": product}
}

func done(p corev1.Pod) corev1.Pod { p.Status.Phase = corev1.PodSucceeded; return p }

// What a cluster has, and what of it is offered: TYPE×LIMIT=PRICE, or what is left out.
func TestOffers(t *testing.T) {
	cordoned, sick, tainted, tolerated, spot := h100("n0"), h100("n0"), h100("n0"), h100("n0"), h100("n0")
	cordoned.Spec.Unschedulable = true
	sick.Status.Conditions[0].Status = corev1.ConditionFalse
	tainted.Spec.Taints = []corev1.Taint{{Key: "team", Value: "other", Effect: corev1.TaintEffectNoSchedule}}
	tolerated.Spec.Taints = []corev1.Taint{{Key: "nvidia.com/gpu", Value: "present", Effect: corev1.TaintEffectNoSchedule}, {Key: "x", Effect: corev1.TaintEffectPreferNoSchedule}}
	spot.Labels["cloud.google.com/gke-spot"] = "true"
	spot.Spec.Taints = []corev1.Taint{{Key: "cloud.google.com/gke-spot", Value: "true", Effect: corev1.TaintEffectNoSchedule}}
	sidecar := pod("p", "n0", "cpu", "1")
	always := corev1.ContainerRestartPolicyAlways
	sidecar.Spec.InitContainers = []corev1.Container{
		{Name: "s", RestartPolicy: &always, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("2")}}},
		{Name: "i", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("9")}}},
	}
	a100 := nvidia("NVIDIA-A100-SXM4-80GB")
	shared := map[string]string{"nvidia.com/gpu.product": "NVIDIA-L4-SHARED", "nvidia.com/gpu.replicas": "4"}
	third := map[string]string{"nvidia.com/gpu.product": "NVIDIA-L4-SHARED", "nvidia.com/gpu.replicas": "3"}
	for name, c := range map[string]struct {
		nodes   []*corev1.Node
		pods    []corev1.Pod
		want    []string
		omitted string
	}{
		"whole devices":                                 {[]*corev1.Node{h100("n0"), h100("n1")}, nil, []string{"p5.48xlarge-h100-8d-192c-2000g×2=$16.00/h"}, ""},
		"less what pods ask for":                        {[]*corev1.Node{h100("n0")}, []corev1.Pod{pod("a", "n0", "nvidia.com/gpu", "3", "cpu", "10", "memory", "10Gi")}, []string{"p5.48xlarge-h100-5d-182c-1990g×1=$10.00/h"}, ""},
		"ended pods do not count":                       {[]*corev1.Node{h100("n0")}, []corev1.Pod{done(pod("a", "n0", "nvidia.com/gpu", "3"))}, []string{"p5.48xlarge-h100-8d-192c-2000g×1=$16.00/h"}, ""},
		"init containers count as the scheduler has it": {[]*corev1.Node{h100("n0")}, []corev1.Pod{sidecar}, []string{"p5.48xlarge-h100-8d-181c-2000g×1=$16.00/h"}, ""},
		"nothing is free":                               {[]*corev1.Node{h100("n0")}, []corev1.Pod{pod("a", "n0", "nvidia.com/gpu", "8")}, nil, "nothing of it is free"},
		"cordoned":                                      {[]*corev1.Node{cordoned}, nil, nil, "cordoned"},
		"not Ready":                                     {[]*corev1.Node{sick}, nil, nil, "not Ready"},
		"foreign taint":                                 {[]*corev1.Node{tainted}, nil, nil, "taint team=other:NoSchedule"},
		"taint of devices":                              {[]*corev1.Node{tolerated}, nil, []string{"p5.48xlarge-h100-8d-192c-2000g×1=$16.00/h"}, ""},
		"spot":                                          {[]*corev1.Node{spot}, nil, []string{"p5.48xlarge-h100-spot-8d-192c-2000g×1=$16.00/h"}, ""},
		"MIG": {
			[]*corev1.Node{node("n0", a100, has("nvidia.com/mig-1g.10gb", "4", "nvidia.com/mig-3g.40gb", "1"))},
			nil,
			[]string{"machine-a100-80gb-mig-1g.10gb-0.125d-8c-64g×4=$0.12/h", "machine-a100-80gb-mig-3g.40gb-0.5d-32c-256g×1=$0.50/h"},
			"",
		},
		"MIG, one slice taken": {
			[]*corev1.Node{node("n0", a100, has("nvidia.com/mig-1g.10gb", "4"))},
			[]corev1.Pod{pod("a", "n0", "nvidia.com/mig-1g.10gb", "1")},
			[]string{"machine-a100-80gb-mig-1g.10gb-0.125d-21c-170g×3=$0.12/h"},
			"",
		},
		"MIG beside whole devices": {
			[]*corev1.Node{node("n0", a100, has("nvidia.com/mig-2g.20gb", "4", "nvidia.com/gpu", "3"))},
			nil,
			[]string{"machine-a100-80gb-3d-48c-384g×1=$3.00/h", "machine-a100-80gb-mig-2g.20gb-0.25d-4c-32g×4=$0.25/h"},
			"",
		},
		"time slicing":                {[]*corev1.Node{node("n0", shared, has("nvidia.com/gpu", "4"))}, nil, []string{"machine-l4-shared-4-0.25d-16c-128g×4=$0.25/h"}, ""},
		"time slicing, renamed":       {[]*corev1.Node{node("n0", shared, has("nvidia.com/gpu.shared", "4"))}, nil, []string{"machine-l4-shared-4-0.25d-16c-128g×4=$0.25/h"}, ""},
		"time slicing into thirds":    {[]*corev1.Node{node("n0", third, has("nvidia.com/gpu", "3"))}, nil, nil, "an eighth, a quarter or a half"},
		"AMD by its name":             {[]*corev1.Node{node("n0", map[string]string{"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, has("amd.com/gpu", "8"))}, nil, []string{"machine-mi300x-8d-64c-512g×1=$8.00/h"}, ""},
		"AMD by its device":           {[]*corev1.Node{node("n0", map[string]string{"beta.amd.com/gpu.device-id.74b5": "8"}, has("amd.com/gpu", "8"))}, nil, []string{"machine-mi300x-8d-64c-512g×1=$8.00/h"}, ""},
		"TPU":                         {[]*corev1.Node{node("n0", map[string]string{"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice"}, has("google.com/tpu", "4"))}, nil, []string{"machine-tpu-v5e-4d-64c-512g×1=$4.00/h"}, ""},
		"Neuron":                      {[]*corev1.Node{node("n0", map[string]string{corev1.LabelInstanceTypeStable: "trn1.32xlarge"}, has("aws.amazon.com/neuron", "16", "aws.amazon.com/neuroncore", "32"))}, nil, []string{"trn1.32xlarge-trainium-16d-64c-512g×1=$16.00/h"}, ""},
		"Gaudi":                       {[]*corev1.Node{node("n0", map[string]string{corev1.LabelInstanceTypeStable: "dl1.24xlarge"}, has("habana.ai/gaudi", "8"))}, nil, []string{"dl1.24xlarge-gaudi-8d-64c-512g×1=$8.00/h"}, ""},
		"FPGA":                        {[]*corev1.Node{node("n0", nil, has("amd.com/xilinx_u250_gen3x16_xdma_shell_4_1", "2"))}, nil, []string{"machine-u250-2d-64c-512g×1=$2.00/h"}, ""},
		"GKE":                         {[]*corev1.Node{node("n0", map[string]string{"cloud.google.com/gke-accelerator": "nvidia-h100-mega-80gb"}, has("nvidia.com/gpu", "8"))}, nil, []string{"machine-h100-8d-64c-512g×1=$8.00/h"}, ""},
		"an unknown product":          {[]*corev1.Node{node("n0", nvidia("NVIDIA-X9000"), has("nvidia.com/gpu", "8"))}, nil, nil, "purser-accelerator"},
		"a product that a label says": {[]*corev1.Node{node("n0", map[string]string{LabelAccelerator: "h200"}, has("nvidia.com/gpu", "8"))}, nil, []string{"machine-h200-8d-64c-512g×1=$8.00/h"}, ""},
		"no devices and no price":     {[]*corev1.Node{node("n0", nil, has())}, nil, nil, "it has no price"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCluster(t)
			for _, n := range c.nodes {
				k.set(*n)
			}
			for _, p := range c.pods {
				k.set(p)
			}
			two := purser.USDPerHour(2_000_000_000)
			p := k.provider(t, nil, func(c *Config) { c.Prices = map[string]purser.USDPerHour{"H100-80GB": two}; c.Country = "DE" })
			if strings.HasPrefix(name, "GKE") {
				p.Prices = nil
			}
			if got := written(t, p); !slices.Equal(got, c.want) {
				t.Errorf("offers\n%q, want\n%q", got, c.want)
			}
			omitted, err := p.Omitted(t.Context())
			if text := fmt.Sprint(omitted); err != nil || !strings.Contains(text, c.omitted) || (c.omitted == "" && len(omitted) > 0) {
				t.Errorf("left out: %v, %v; want %q", omitted, err, c.omitted)
			}
		})
	}
}

// written are the offers of a cluster, checked and written short.
func written(t *testing.T, p *Provider) (out []string) {
	t.Helper()
	for _, o := range offersOf(t, p) {
		if err := o.Check(); err != nil || o.Provider != Name || o.Option != purser.Private || o.Region != "eu-1" || o.Zone != "eu-1a" || o.ObservedAt.IsZero() {
			t.Errorf("%+v: %v", o, err)
		}
		out = append(out, fmt.Sprintf("%s×%d=%s", o.InstanceType, o.Limit, o.UnitPrice))
	}
	return out
}

// Places without devices are offered where they have a price, and claims take room.
func TestOffersWithoutDevices(t *testing.T) {
	k := newCluster(t)
	k.set(*node("n0", map[string]string{corev1.LabelInstanceTypeStable: "m5"}, has()))
	p := k.provider(t, nil, func(c *Config) { c.Prices = map[string]purser.USDPerHour{"cpu": 50_000_000} })
	if got, want := written(t, p), []string{"m5-0d-64c-512g×1=$3.20/h"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if _, err := p.Launch(t.Context(), request("lease-a", offersOf(t, p)[0])); err != nil {
		t.Fatal(err)
	}
	if got := written(t, p); len(got) != 0 {
		t.Errorf("a claim's room is offered: %q", got)
	}
}

// Devices that drivers publish (DRA).
func TestDynamicOffers(t *testing.T) {
	k := newCluster(t)
	k.set(*node("n0", map[string]string{corev1.LabelInstanceTypeStable: "dra8"}, has()))
	k.set(*node("n1", map[string]string{corev1.LabelInstanceTypeStable: "dra8", "nvidia.com/gpu.product": "NVIDIA-L4"}, has("nvidia.com/gpu", "1")))
	slice := driverSlice("n0", "NVIDIA H100 80GB HBM3", 4)
	k.set(slice)
	old := driverSlice("n0", "NVIDIA H100 80GB HBM3", 8) // of an earlier generation
	old.Name, old.Spec.Pool.Generation = "old", 0
	k.set(old)
	k.set(driverSlice("n1", "NVIDIA L4", 1)) // the device plugin tells of it already
	p := k.provider(t, nil)
	want := []string{"dra8-h100-dra-4d-64c-512g×1=$4.00/h", "dra8-l4-1d-64c-512g×1=$1.00/h"}
	if got := written(t, p); !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	mig, said := "mig", "NVIDIA H100 80GB HBM3"
	slice.Spec.Devices[3].Attributes = map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"gpu.nvidia.com/type": {StringValue: &mig}, "productName": {StringValue: &said}}
	slice.Spec.Devices[2].Taints = []resourcev1.DeviceTaint{{Key: "sick", Effect: resourcev1.DeviceTaintEffectNoSchedule}}
	k.set(slice)
	k.set(resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "theirs", Namespace: "default"},
		Status:     resourcev1.ResourceClaimStatus{Allocation: &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{{Driver: "gpu.nvidia.com", Pool: "n0", Device: "gpu-0"}}}}},
	})
	want[0] = "dra8-h100-dra-1d-64c-512g×1=$1.00/h"
	if got := written(t, p); !slices.Equal(got, want) {
		t.Errorf("with one of others, one sick and one in parts: %q, want %q", got, want)
	}
	if o, err := p.Omitted(t.Context()); err != nil || len(o) != 2 {
		t.Errorf("left out: %v, %v", o, err)
	}
	k.missing["resource.k8s.io"] = true
	if got := written(t, p); !slices.Equal(got, want[1:]) {
		t.Errorf("a cluster without DRA: %q", got)
	}
}

// Vendors' names of products.
func TestProducts(t *testing.T) {
	for name, want := range map[string]string{
		"NVIDIA-H100-80GB-HBM3": "H100", "NVIDIA-H100-PCIe": "H100-PCIE", "NVIDIA-H100-NVL": "H100-NVL", "NVIDIA-H200": "H200", "NVIDIA-B200": "B200", "NVIDIA-GH200-480GB": "GH200",
		"NVIDIA-A100-SXM4-40GB": "A100-40GB", "NVIDIA-A100-SXM4-80GB": "A100-80GB", "NVIDIA-A100-80GB-PCIe": "A100-80GB", "NVIDIA-A100-PCIE-40GB": "A100-40GB", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb": "A100-80GB",
		"Tesla-T4": "T4", "Tesla-T4-SHARED": "T4", "Tesla-V100-SXM2-16GB": "V100-16GB", "Tesla-V100-SXM2-32GB": "V100-32GB", "NVIDIA-A10G": "A10G", "NVIDIA-A10": "A10", "NVIDIA-L40S": "L40S", "NVIDIA-L4": "L4",
		"NVIDIA-RTX-A6000": "A6000", "NVIDIA-RTX-6000-Ada-Generation": "RTX6000-ADA", "NVIDIA-GeForce-RTX-4090": "RTX4090", "Quadro-RTX-6000": "RTX6000", "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition": "RTX-PRO-6000",
		"nvidia-tesla-a100": "A100-40GB", "nvidia-a100-80gb": "A100-80GB", "nvidia-h100-80gb": "H100", "nvidia-h200-141gb": "H200", "nvidia-tesla-t4": "T4", "nvidia-l4": "L4",
		"tpu-v6e-slice": "TPU-V6E", "tpu-v5p-slice": "TPU-V5P", "tpu-v4-podslice": "TPU-V4", "inf2.48xlarge": "INFERENTIA2", "inferentia2": "INFERENTIA2", "AMD_Instinct_MI300X_VF": "MI300X",
		"NVIDIA-X9000": "", "": "",
	} {
		if a, ok := product(name, 0); a.Name != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", name, a.Name, want)
		}
	}
	if a, _ := product("NVIDIA-A100", 81920); a.Name != "A100-80GB" {
		t.Errorf("with the label of memory it is %s", a.Name)
	}
}
