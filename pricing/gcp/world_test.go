package gcp

// world is a cloud with a few regions, at list prices.
func world() *cloud {
	return &cloud{
		skus: map[string][]object{computeService: append(listSKUs(), confusingSKUs()...), tpuService: olderSKUs()},
		machines: map[string][]object{
			"us-central1-a": {
				machineType("a2-highgpu-1g", 12, 87040, "accelerators", []object{{"guestAcceleratorType": "nvidia-tesla-a100", "guestAcceleratorCount": 1}}),
				machineType("a2-highgpu-8g", 96, 696320),
				machineType("a2-megagpu-16g", 96, 1392640),
				machineType("a2-ultragpu-1g", 12, 174080, "bundledLocalSsds", object{"defaultInterface": "NVME", "partitionCount": 1}),
				machineType("a3-highgpu-1g", 26, 239616, "bundledLocalSsds", object{"partitionCount": 2}),
				machineType("a3-highgpu-8g", 208, 1916928, "bundledLocalSsds", object{"partitionCount": 16}),
				machineType("a3-megagpu-8g", 208, 1916928),
				machineType("a4-highgpu-8g", 224, 4063232, "bundledLocalSsds", object{"partitionCount": 32}),
				machineType("a4x-highgpu-4g", 140, 905216),
				machineType("c3-standard-4-lssd", 4, 16384, "bundledLocalSsds", object{"partitionCount": 1}),
				machineType("c3-standard-192-metal", 192, 786432),
				machineType("e2-medium", 2, 4096, "isSharedCpu", true),
				machineType("e2-standard-4", 4, 16384),
				machineType("g2-standard-4", 4, 16384),
				machineType("g2-standard-48", 48, 196608),
				machineType("m1-ultramem-40", 40, 984064),
				machineType("n1-standard-4", 4, 15360),
				machineType("n1-standard-8", 8, 30720, "deprecated", object{"state": "DEPRECATED"}),
				machineType("n1-standard-96", 96, 368640, "deprecated", object{"state": "DELETED"}),
				machineType("n2-standard-8", 8, 32768),
			},
			"us-central1-f": {machineType("n1-standard-4", 4, 15360), machineType("n1-standard-8", 8, 30720)},
			"us-east4-b":    {machineType("a3-highgpu-8g", 208, 1916928), machineType("a3-ultragpu-8g", 224, 3022848), machineType("a3-highgpu-1g", 26, 239616)},
			"us-east7-a":    {machineType("n1-standard-4", 4, 15360)},
		},
		cards: map[string][]object{
			"us-central1-a": {
				{"name": "nvidia-tesla-a100", "maximumCardsPerInstance": 16},
				{"name": "nvidia-tesla-t4", "maximumCardsPerInstance": 1},
				{"name": "nvidia-tesla-t4-vws", "maximumCardsPerInstance": 4},
				{"name": "nvidia-tesla-k80", "maximumCardsPerInstance": 8, "deprecated": object{"state": "OBSOLETE"}},
			},
			"us-central1-f": {{"name": "nvidia-tesla-v100", "maximumCardsPerInstance": 8}},
		},
		tpus: map[string][]string{
			"us-central1-a":  {"v5litepod-1", "v5litepod-16", "v5p-8", "v6e-8", "v2-8", "v3-8", "v3-32", "v4-8", "tpu7x-8", "v5p-9"},
			"us-central2-b":  {"v4-8"},
			"us-east5-a":     {"v5p-8", "v5p-256", "v6e-1"},
			"europe-west4-b": {"v5litepod-16", "v5p-8"},
		},
		histories: spotHistories(), capacities: map[string]object{},
		skuPage: 20, machinePage: 3, tpuPage: 4,
	}
}

// central are the regions that SKUs "running in Americas" serve.
var central = []string{"us-central1", "us-east1", "us-west1"}

// listSKUs are the plain ones.
func listSKUs() []object {
	const od, spot, h, gib = "OnDemand", "Preemptible", "h", "GiBy.h"
	return []object{
		sku("N1 Predefined Instance Core running in Americas", od, h, "0.031611", central...),
		sku("N1 Predefined Instance Ram running in Americas", od, gib, "0.004237", central...),
		sku("Spot Preemptible N1 Predefined Instance Core running in Americas", spot, h, "0.00698", central...),
		sku("Spot Preemptible N1 Predefined Instance Ram running in Americas", spot, gib, "0.0009358", central...),
		sku("N2 Instance Core running in Americas", od, h, "0.031611", central...),
		sku("N2 Instance Ram running in Americas", od, gib, "0.004237", central...),
		sku("E2 Instance Core running in Americas", od, h, "0.02181159", central...),
		sku("E2 Instance Ram running in Americas", od, gib, "0.00292353", central...),
		sku("C3 Instance Core running in Americas", od, h, "0.03398", central...),
		sku("C3 Instance Ram running in Americas", od, gib, "0.00456", central...),
		sku("A2 Instance Core running in Americas", od, h, "0.031611", central...),
		sku("A2 Instance Ram running in Americas", od, gib, "0.004237", central...),
		sku("Spot Preemptible A2 Instance Core running in Americas", spot, h, "0.01659", central...),
		sku("Spot Preemptible A2 Instance Ram running in Americas", spot, gib, "0.00222", central...),
		sku("A3 Instance Core running in Americas", od, h, "0.025501067", "us-central1", "us-east4"),
		sku("A3 Instance Ram running in Americas", od, gib, "0.00222", "us-central1", "us-east4"),
		sku("Spot Preemptible A3 Instance Core running in Virginia", spot, h, "0.0058", "us-east4"),
		sku("Spot Preemptible A3 Instance Ram running in Virginia", spot, gib, "0.0005", "us-east4"),
		sku("A3Plus Instance Core running in Americas", od, h, "0.026924", central...),
		sku("A3Plus Instance Ram running in Americas", od, gib, "0.002344", central...),
		sku("A3Ultra Instance Core running in Virginia", od, h, "0.0293", "us-east4"),
		sku("A3Ultra Instance Ram running in Virginia", od, gib, "0.0025", "us-east4"),
		sku("Spot Preemptible A3Ultra Instance Core running in Virginia", spot, h, "0.01", "us-east4"),
		sku("Spot Preemptible A3Ultra Instance Ram running in Virginia", spot, gib, "0.001", "us-east4"),
		sku("G2 Instance Core running in Americas", od, h, "0.02498844", central...),
		sku("G2 Instance Ram running in Americas", od, gib, "0.00292726", central...),
		sku("Spot Preemptible G2 Instance Core running in Americas", spot, h, "0.0099", central...),
		sku("Spot Preemptible G2 Instance Ram running in Americas", spot, gib, "0.00116", central...),

		sku("Nvidia Tesla T4 GPU running in Americas", od, h, "0.35", central...),
		sku("Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas", spot, h, "0.11", central...),
		sku("Nvidia Tesla V100 GPU running in Americas", od, h, "2.48", central...),
		sku("Nvidia L4 GPU running in Americas", od, h, "0.56004", central...),
		sku("Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas", spot, h, "0.2231", central...),
		sku("Nvidia Tesla A100 GPU running in Americas", od, h, "2.9339085", central...),
		sku("Nvidia Tesla A100 GPU attached to Spot Preemptible VMs running in Americas", spot, h, "1.53990", central...),
		sku("Nvidia Tesla A100 80GB GPU running in Americas", od, h, "3.92808", central...),
		sku("Nvidia Tesla A100 80GB GPU attached to Spot Preemptible VMs running in Americas", spot, h, "1.964", central...),
		sku("Nvidia H100 80GB GPU running in Americas", od, h, "9.796551", "us-central1", "us-east4"),
		sku("Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Virginia", spot, h, "2.2379", "us-east4"),
		sku("Nvidia H100 80GB Plus GPU running in Americas", od, h, "10.344276", central...),
		sku("H200 141GB GPU running in Virginia", od, h, "9.31174", "us-east4"),
		sku("H200 141GB GPU attached to Spot Preemptible VMs running in Virginia", spot, h, "3.6567", "us-east4"),
		sku("A4 Nvidia B200 (1 gpu slice) running in Americas", od, h, "16.11", central...),
		sku("SSD backed Local Storage", od, "GiBy.mo", "0.08", append([]string{"us-east4"}, central...)...),
		sku("SSD backed Local Storage attached to Spot Preemptible VMs", od, "GiBy.mo", "0.048", append([]string{"us-east4"}, central...)...),

		sku("TpuV5e running in Americas", od, h, "1.2", "us-central1"),
		sku("TpuV5e attached to Spot Preemptible VMs running in Americas", spot, h, "0.24493", "us-central1"),
		sku("TpuV5e running in Netherlands", od, h, "1.56", "europe-west4"),
		sku("TpuV5p running in Columbus", od, h, "4.2", "us-east5", "us-central1"),
		sku("TpuV5p attached to Spot Preemptible VMs running in Columbus", spot, h, "1.68", "us-east5"),
		sku("TpuV6e running in Columbus", od, h, "2.7", "us-east5", "us-central1"),
		sku("TpuV6e attached to Spot Preemptible VMs running in Columbus", spot, h, "1.215", "us-east5"),
	}
}

// confusingSKUs are those that are easily taken for others.
func confusingSKUs() []object {
	const od, h, gib = "OnDemand", "h", "GiBy.h"
	return []object{
		// Trap 4: marked OnDemand, bought in another way.
		sku("Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas", od, h, "4.200761", "us-central1"),
		sku("DWS Defined Duration A3 Core running in Americas", od, h, "0.010934", "us-central1"),
		sku("DWS Defined Duration A3 Ram running in Americas", od, gib, "0.000952", "us-central1"),
		sku("DWS Defined Duration SSD backed Local Storage running in Americas", od, "GiBy.mo", "0.08", central...),
		sku("DWS Defined Duration A4 Nvidia B200 (1 gpu slice) running in Americas", od, h, "8.055", central...),
		sku("DWS Calendar Mode A4 Nvidia B200 (1 gpu slice) in Americas", od, h, "11.277", central...),
		sku("Reserved Nvidia H100 80GB Mega GPU in Americas in Calendar Mode", od, h, "4.841121", central...),
		sku("Reserved A3Plus Core in Americas in Calendar Mode", od, h, "0.0126", central...),
		sku("Reserved A3Plus Ram in Americas in Calendar Mode", od, gib, "0.0011", central...),
		sku("Reserved SSD backed Local Storage in Americas in Calendar Mode", od, "GiBy.mo", "0.08", central...),
		sku("DWS Defined Duration V6e running in Columbus", od, h, "1.35", "us-east5"),
		sku("Reserved TpuV5p in Columbus in Calendar Mode", od, h, "2.94", "us-east5"),
		// Trap 4, the other way: marked OnDemand, and spot.
		sku("Spot Preemptible A4 Nvidia B200 (1 gpu slice) running in Americas", od, h, "4.0758", central...),
		// Sold in no way that Purser buys.
		sku("Commitment v1: A2 Cpu in Americas for 1 Year", "Commit1Yr", h, "0.01", central...),
		sku("Reserved A2 Instance Core running in Americas", od, h, "0", central...),
		sku("A2 Sole Tenancy Instance Core running in Americas", od, h, "9", central...),
		sku("Sole Tenancy Premium for A2 Instance Core running in Americas", od, h, "9", central...),
		sku("N1 Custom Instance Core running in Americas", od, h, "9", central...),
		sku("N2 Custom Extended Instance Ram running in Americas", od, gib, "9", central...),
		sku("Capacity Optimized TpuV6e running in Columbus", od, h, "9", "us-east5"),
		sku("Nvidia Tesla A100 GPU Suspended VmState running in Americas", od, h, "9", central...),
		sku("Licensing Fee for Nvidia L4 GPU running in Americas", od, h, "9", central...),
	}
}

// olderSKUs are those of Cloud TPU, where even preemptible devices are OnDemand.
func olderSKUs() []object {
	const od, h = "OnDemand", "h"
	return []object{
		sku("Tpu-v2 Accelerator USA", od, h, "4.5", "us-central1"),
		sku("Tpu-v3 Accelerator USA", od, h, "8", "us-central1"),
		sku("Tpu-v3 Accelerator (Preemptible) USA", od, h, "2.4", "us-central1"),
		sku("Tpu-v3 Pod Accelerator USA", od, h, "8.8", "us-central1"),
		sku("Preemptible Tpu-v3 Pod Accelerator USA", od, h, "2.64", "us-central1"),
		sku("Tpu-v4 Pod Accelerator USA", od, h, "12.88", "us-central2"),
		sku("Tpu-v3 Accelerator Commitment 1 Year USA", od, h, "1", "us-central1"),
	}
}

func spotHistories() map[string]object {
	money := func(units string, nanos int) object {
		return object{"currencyCode": "USD", "units": units, "nanos": nanos}
	}
	interval := func(from, to string) object { return object{"startTime": from, "endTime": to} }
	price := func(from, to, units string, nanos int) object {
		return object{"interval": interval(from, to), "listPrice": money(units, nanos)}
	}
	share := func(from, to string, p float64) object {
		return object{"interval": interval(from, to), "preemptionRate": p}
	}
	return map[string]object{
		"us-central1-a g2-standard-4": {
			"location": "https://www.googleapis.com/compute/v1/projects/proj/zones/us-central1-a", "machineType": "g2-standard-4",
			"priceHistory": []object{
				price("2026-11-01T08:00:00Z", "2026-11-24T08:00:00Z", "0", 281260000),
				price("2026-10-01T00:00:00-07:00", "2026-11-01T08:00:00Z", "0", 301260000),
				price("2026-09-01T00:00:00-07:00", "2026-10-01T00:00:00-07:00", "0", 301260000),
				price("2026-02-01T00:00:00-08:00", "2026-03-01T00:00:00-08:00", "0", 991260000),
				price("2026-12-01T00:00:00-08:00", "2026-12-02T00:00:00-08:00", "0", 111260000),
			},
			"preemptionHistory": []object{
				share("2026-11-24T08:00:00Z", "2026-11-25T08:00:00Z", 0.9),
				share("2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z", 0.5),
				share("2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z", 0.12),
			},
		},
		"us-central1-a a2-highgpu-1g":  {"priceHistory": []object{price("2026-11-01T08:00:00Z", "2026-11-24T08:00:00Z", "1", 927680000)}},
		"us-central1-a a2-highgpu-8g":  {"preemptionHistory": []object{share("2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z", 1)}},
		"us-central1-a a2-megagpu-16g": {"preemptionHistory": []object{share("2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z", 0)}},
		"us-east4-b a3-highgpu-8g":     {"priceHistory": []object{price("2026-10-01T00:00:00-07:00", "2026-11-24T08:00:00Z", "20", 44460000)}},
	}
}
