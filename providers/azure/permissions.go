package azure

import (
	"encoding/json"
	"slices"
)

// Permission is a call that the adapter makes, with what Azure wants the credential to be
// allowed for it. Source: Microsoft's lists of resource provider operations.
type Permission struct {
	Call    string // method, extent and resource type: GET one Microsoft.Compute/virtualMachines
	Actions []string
}

// Permissions are all calls of the adapter. One, group, subscription and region say how
// much a call is about. Those about the subscription or a region need the role on the
// subscription; all others would do with it on the resource group, and on the subnets,
// security groups and reservation groups that are named in Config.
func Permissions() []Permission {
	const (
		compute, network = "Microsoft.Compute/", "Microsoft.Network/"
		vm, disk         = compute + "virtualMachines", compute + "disks"
		nic, record      = network + "networkInterfaces", network + "applicationSecurityGroups"
		keep             = compute + "capacityReservationGroups"
	)
	return []Permission{
		{"GET one " + vm, []string{vm + "/read"}},
		{"GET group " + vm, []string{vm + "/read"}},
		{"GET subscription " + vm, []string{vm + "/read"}},
		// Its disk is made with it, its card is attached, and both are to go with it.
		{"PUT one " + vm, []string{vm + "/write", disk + "/write", disk + "/delete", nic + "/join/action", nic + "/delete", keep + "/deploy/action"}},
		{"DELETE one " + vm, []string{vm + "/delete"}},
		{"GET one " + compute + "locations/operations", []string{compute + "locations/operations/read"}},

		{"PUT one " + nic, []string{nic + "/write", network + "virtualNetworks/subnets/join/action", network + "networkSecurityGroups/join/action"}},
		{"GET one " + nic, []string{nic + "/read"}},
		{"GET group " + nic, []string{nic + "/read"}},
		{"DELETE one " + nic, []string{nic + "/delete"}},
		{"GET one " + network + "locations/operations", []string{network + "locations/operations/read"}},

		{"GET group " + disk, []string{disk + "/read"}},
		{"DELETE one " + disk, []string{disk + "/delete"}},

		{"GET one " + record, []string{record + "/read"}},
		{"GET group " + record, []string{record + "/read"}},
		{"PUT one " + record, []string{record + "/write"}},
		{"DELETE one " + record, []string{record + "/delete"}},

		{"GET region " + compute + "locations/usages", []string{compute + "locations/usages/read"}},
		{"GET one " + keep, []string{keep + "/read"}},
		{"GET group " + keep + "/capacityReservations", []string{keep + "/capacityReservations/read"}},
	}
}

// Role is the definition of the least role that the adapter can work with, in the form
// that az role definition create takes. Images of one's own need to be readable besides.
func Role(subscription string) ([]byte, error) {
	var actions []string
	for _, p := range Permissions() {
		actions = append(actions, p.Actions...)
	}
	slices.Sort(actions)
	out, err := json.MarshalIndent(struct {
		Name, Description                             string
		IsCustom                                      bool
		Actions, NotActions                           []string
		DataActions, NotDataActions, AssignableScopes []string
	}{
		Name: "Purser machines", Description: "Starts and ends the machines of Purser, with their network cards and disks.", IsCustom: true,
		Actions: slices.Compact(actions), NotActions: []string{}, DataActions: []string{}, NotDataActions: []string{},
		AssignableScopes: []string{"/subscriptions/" + subscription},
	}, "", "  ")
	return append(out, '\n'), err
}
