// Package gcp starts and ends machines of Google Cloud: virtual machines of Compute
// Engine, with GPUs that come with the machine type (A2, A3, A4, G2, G4), that are
// attached to it (N1) or without any, and TPU slices of one host by queued resources.
//
// # One lease, one machine
//
// A machine's name is purser-LEASE-HASH, the hash being of installation and lease.
// Names are unique in a zone while a machine is there. Launch looks for the name first,
// then asks with a request id that is made from the client token and the zone, so that
// repetitions, at the same time or after a lost answer, come to the same operation. The
// server's address may differ between them: the first counts.
//
// A name is free again when its machine is gone. What tells of it then are the zone's
// operations, which Compute Engine keeps for 14 days or more: Launch reads those of the
// name before it asks, and the insertion that succeeded, or failed, speaks for good.
// Nothing is written for it and nothing has to be swept. TPUs have no such memory: theirs
// is the request id, for as long as the TPU API knows it (Google's rule for its APIs is
// an hour), and a request that failed stays there until Sweep.
//
// An offer of a whole region is tried in one zone after the other, in the order of their
// names. Launch looks in all of them before it asks in any. It goes on to the next only
// when an operation said for certain that the zone has no such machine, or the zone does
// not sell it; the same request id gets the same refusal there again. What had no answer
// ends the launch as unavailable, and is repeated in the same order.
//
// # States
//
//	PENDING PROVISIONING STAGING, an insertion under way         pending
//	RUNNING REPAIRING                                            running
//	PENDING_STOP STOPPING SUSPENDING DEPROVISIONING              stopping
//	TERMINATED STOPPED SUSPENDED, or deleted and remembered      gone
//	CREATING ACCEPTED WAITING_FOR_RESOURCES PROVISIONING (TPU)   pending
//	ACTIVE (TPU), unless its machine has stopped                 running
//	SUSPENDING DELETING (TPU)                                    stopping
//	SUSPENDED FAILED, ACTIVE with a stopped machine (TPU)        gone
//
// Compute Engine cannot be told to delete a machine that powers itself off: it stops
// (TERMINATED), and its disk is still paid for. Such a machine is gone, is not listed, and
// Sweep deletes it with its disk. Spot machines that are taken back, and those that
// outlive their run duration, are deleted by the cloud.
//
// A flex start (DWS) is a machine that waits, pending, for up to FlexWait, and runs for
// at most FlexRun. StartedAt is when the machine last started, else when it was asked for.
//
// # Network, access, secrets
//
// Machines have no address of their own unless ExternalIP is set. They must reach
// Purser's server, and what the tasks fetch: in a network without other ways out, make a
// Cloud NAT for the subnetwork (gcloud compute routers nats create), and switch on
// Private Google Access for Google's own services. Keys of the project are blocked, OS
// Login is on, the serial port is off; machines act as nobody unless ServiceAccount is
// set. TPUs act as that account too, or else as the project's default one. The start-up
// script holds the join token, which is good once, and is readable to those who may
// read the project's instances. Machines with GPUs boot without Secure Boot, which the
// drivers' signatures do not pass; vTPM and integrity monitoring are on.
//
// # Interruptions
//
// The cloud has no queue for them. Every WatchEvery the project's operations are read
// (compute.instances.preempted, hostError, guestTerminate, terminateOnHostMaintenance),
// and the queued resources; every twentieth time also planned maintenance. Delivery is
// at least once; a new call of Interruptions tells the last hour again.
//
// # Failures
//
// One table (errors.go) gives every code its kind, whether it comes with the answer, in
// an operation or in a TPU request's state. Insert answers before there is a machine:
// that a zone has none stands in the operation. Launch watches it for PollFor and returns
// no_capacity or quota; what comes later is told by Describe, as gone with the reason. An
// operation that failed for the moment (INTERNAL_ERROR) fails the lease for good, since
// the same request id gets the same answer: Launch gives it as gone, and the fleet takes
// another lease. The SDK's own repetitions are off. Lists in which a zone does not answer
// are unavailable.
//
// Credentials are application-default ones: workload identity, an attached service
// account, or gcloud auth application-default login. docs/permissions/gcp-role.json is a
// custom role with all that is asked for; see Role.
package gcp
