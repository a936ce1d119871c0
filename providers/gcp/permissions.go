package gcp

import (
	"encoding/json"
	"slices"

	"purser"
)

// Call is a call of an API that this package makes.
type Call struct {
	Method      string   // service, resource and method, as the API's reference has it
	Permissions []string // that the caller needs for it, for requests as they are made here
}

// Calls are all calls that are made. (https://cloud.google.com/iam/docs/permissions-reference;
// queued resources have no permissions of their own, those of TPU nodes hold for them.)
func Calls() []Call {
	return []Call{
		{"compute.disks.aggregatedList", []string{"compute.disks.list"}},
		{"compute.disks.delete", []string{"compute.disks.delete"}},
		{"compute.globalOperations.aggregatedList", []string{"compute.globalOperations.list"}},
		{"compute.instances.aggregatedList", []string{"compute.instances.list"}},
		{"compute.instances.delete", []string{"compute.instances.delete"}},
		{"compute.instances.get", []string{"compute.instances.get"}},
		{"compute.instances.insert", []string{
			"compute.disks.create", "compute.disks.setLabels", "compute.instances.create", "compute.instances.setLabels",
			"compute.instances.setMetadata", "compute.subnetworks.use",
		}},
		{"compute.machineTypes.get", []string{"compute.machineTypes.get"}},
		{"compute.projects.get", []string{"compute.projects.get"}},
		{"compute.regions.list", []string{"compute.regions.list"}},
		{"compute.reservations.aggregatedList", []string{"compute.reservations.list"}},
		{"compute.reservations.list", []string{"compute.reservations.list"}},
		{"compute.zoneOperations.get", []string{"compute.zoneOperations.get"}},
		{"compute.zoneOperations.list", []string{"compute.zoneOperations.list"}},
		{"compute.zones.list", []string{"compute.zones.list"}},
		{"tpu.locations.list", []string{"tpu.locations.list"}},
		{"tpu.nodes.get", []string{"tpu.nodes.get"}},
		{"tpu.nodes.list", []string{"tpu.nodes.list"}},
		{"tpu.operations.get", []string{"tpu.operations.get"}},
		{"tpu.queuedResources.create", []string{"tpu.nodes.create"}},
		{"tpu.queuedResources.delete", []string{"tpu.nodes.delete"}},
		{"tpu.queuedResources.get", []string{"tpu.nodes.get"}},
		{"tpu.queuedResources.list", []string{"tpu.nodes.list"}},
	}
}

// Role is the least custom role for the settings, as gcloud iam roles create takes it.
// With a service account, the role roles/iam.serviceAccountUser on that account is needed
// besides, and for TPUs on the one that they act as; with an image of another project's,
// roles/compute.imageUser there; with a key, the right of Compute Engine's own account to
// use it.
func Role(c Config) ([]byte, error) {
	var all []string
	for _, call := range Calls() {
		if c.WithoutTPU && call.Method[:4] == "tpu." {
			continue
		}
		all = append(all, call.Permissions...)
	}
	if c.ExternalIP {
		all = append(all, "compute.subnetworks.useExternalIp")
	}
	if c.ServiceAccount != "" {
		all = append(all, "compute.instances.setServiceAccount")
	}
	if len(c.Tags) > 0 {
		all = append(all, "compute.instances.setTags")
	}
	slices.Sort(all)
	out, err := json.MarshalIndent(struct {
		Title       string   `json:"title"`
		Description string   `json:"description"`
		Stage       string   `json:"stage"`
		Permissions []string `json:"includedPermissions"`
	}{"Purser", "Starts, watches and ends Purser's machines and reads quotas", "GA", slices.Compact(all)}, "", "  ")
	return append(out, '\n'), purser.Wrap(purser.KindInternal, "gcp.Role", err)
}
