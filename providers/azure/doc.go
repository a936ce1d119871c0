// Package azure starts and ends virtual machines of Azure, all of them in one resource
// group of one subscription, through Azure Resource Manager.
//
// # One machine per lease
//
// A machine, its network card and its disk have names that follow from installation and
// lease, so there can be one at a time. The machine is created with If-None-Match: *, so
// that of two servers one creates it and the other finds it. What differs between two
// launches of a lease, such as the server's address in the user data, never matters:
// neither this condition nor the refusal to change a property of a machine
// (PropertyChangeNotAllowed) is taken for anything but "it is there already".
//
// A name is free again when its machine has been deleted. So the lease is remembered by
// a record: an application security group of the machine's name that has no members. It
// costs nothing, holds no address, and its kind has no limit of 800 to a resource group
// (but one of 3,000 to a region; where no more fit, leases are not remembered). The
// record is written before Launch first says that the machine is there, and by Terminate
// before the machine is deleted. Launch starts no machine where there is a record, and
// looks once more after it has started one: if the end was written meanwhile, the new
// machine is ended at once. Sweep removes a record a day after the machine's end, see
// Config.Remember.
//
// What is left: a spot machine that is evicted before any call to Launch has been
// answered may be followed by another when the launch is repeated. There are never two
// at once.
//
// # States
//
//	provisioning     power                     instance
//	Creating         any                       pending
//	Deleting         any                       stopping
//	Failed           running, starting         running, with the reason
//	Failed           none, deallocated         gone, with the reason; Sweep and Terminate delete it
//	else             stopping, deallocating    stopping
//	else             stopped                   stopping: powered off, and billed until Sweep or Terminate deletes it
//	else             deallocated               gone; Sweep and Terminate delete it
//	else             any other                 running
//
// A Linux machine that powers itself off, as the bootstrap script does where no agent
// starts, is not deallocated: it costs as much as one that runs. Reads never delete, so
// Sweep ends it, whatever its grace; call Sweep every few minutes.
//
// List reads two listings page by page at the same time: the resource group's, which has
// tags and no power, and the subscription's with statusOnly, which has power and no tags.
// Where Azure leaves out a machine's power it counts as running, unless its creation
// failed: then it is asked for alone.
//
// # Failures
//
// Refusals come as an answer to the creation or later as the end of its operation.
// Launch looks at the operation for Config.Patience; what fails after that is seen by
// Describe as gone, with the reason, and by a repeated Launch as the same kind of error.
// Launch asks for the end of a machine whose creation it has seen fail.
// All codes stand in one table (errors.go): no_capacity is Azure's, quota the
// subscription's; OperationNotAllowed is either, or a price limit, by its message. The
// SDK repeats nothing: that is the decorators' work. A resource group that is not found
// is invalid and never a machine that is gone.
//
// # What is decided
//
//   - Machines have no public address, and nothing opens port 22. Azure wants a key or a
//     password for Linux: where no key is configured each launch makes one up and drops
//     its private half. Machines reach the server through what the subnet has, such as a
//     NAT gateway.
//   - A delayed deletion (terminateNotificationProfile) is not asked for: the fleet stops
//     the tasks before it ends a machine, and the delay would be billed. The notice of an
//     eviction does not need it; the agent reads it on the machine from Scheduled Events.
//   - There is no providers.Interrupter. Azure pushes evictions to the machine, and
//     otherwise to Event Grid alone, which needs a queue of its own; activity logs lag by
//     minutes, and an evicted machine is deleted by then. Reconcile sees it gone.
//   - Machines with accelerators start without Secure Boot, which refuses drivers that
//     are not signed, unless Config.TrustedLaunch says otherwise.
//   - Of quotas only those are told that a region, a purchase option, an accelerator and the
//     beginning of a size's name describe exactly: all spot machines, all on demand, and
//     accelerated families. The others are met by a launch.
//   - The role (permissions.go) belongs on the subscription: power and quotas are only
//     told to who may read there.
//   - Azure's zones are numbered for each subscription anew. Offers have those of the
//     subscription that prices are collected with: use the same one.
package azure
