// Package aws starts and ends machines of Amazon EC2, and of clouds that speak its language.
//
// # One machine per lease
//
// Launch looks for the lease's machine by its tags and, when there is none, asks for it in
// two steps that can both be repeated by anybody at any time:
//
//	template  a launch template whose name follows from installation, lease and attempt.
//	          Names are unique, so the first to come fixes user data, image and
//	          reservation; all others use what they find. A tag holds the digest of what
//	          is asked for besides: types, zones, prices.
//	launch    CreateFleet (type instant) where several places would do, RunInstances for one
//	          place and for reservations. The client token is the hash of the request's
//	          token (lease, attempt) and that digest.
//
// A repetition is therefore the same request with the same token, also when the server's
// address, the image or the configuration have changed in between, and however late EC2
// shows the machine: AWS answers it with the machine that there is. Where the digest
// differs, nothing is asked for, and the lease gets a conflict, which ends it. A machine
// that was given an address which no longer holds cannot join, powers itself off within
// bootstrap.Limit, and its lease is replaced.
//
// An ended lease gets Gone: EC2 shows terminated machines for about an hour, and the
// template stays for a day after its machine. A template that is older than half an hour
// without a machine says that there was one. Sweep removes templates; they cost nothing.
// A refused launch removes its own. Nothing else can be left over: volumes and network
// interfaces go with their machine, and an instant fleet is over with its answer.
//
// An endpoint without CreateFleet gets RunInstances for the lease's own offer, and one
// without templates gets all settings with it. There a changed address is another request:
// its IdempotentParameterMismatch is answered by looking again, and unavailable until the
// first request's machine is seen.
//
// # What a machine is started with
//
// Metadata service version 2 alone, encrypted gp3 volume, no key and no public address
// unless Config.PublicIP, shutdown that terminates, tags on instance, volume, network
// interface and spot request. The image comes from a public parameter of Systems Manager by
// accelerator and architecture. User data is bootstrap.Script; it holds the join token, and
// whoever may call DescribeLaunchTemplateVersions can read it while it is good for a join.
//
// # States
//
//	pending                             pending
//	running, stopped                    running
//	shutting-down, stopping             stopping
//	terminated                          gone
//
// A stopped machine does not end by itself, and its volume is paid for.
//
// # Failures
//
// The table in errors.go maps AWS's codes to kinds. Requests about machines are sent once:
// the SDK would repeat InsufficientInstanceCapacity, which comes with status 500. CreateFleet
// tells refusals inside of a good answer; the lease's own place decides about the kind. Its
// token gets that answer for ever, so that what failed for the moment there ends the lease
// too: it is gone.
//
//	no_capacity   Insufficient…Capacity, UnfulfillableCapacity, Unsupported (in that zone),
//	              SpotMaxPriceTooLow, ReservationCapacityExceeded
//	quota         VcpuLimitExceeded, MaxSpotInstanceCountExceeded, …LimitExceeded, full subnets
//	throttled     RequestLimitExceeded and its like
//	unauthorized  AuthFailure (also a region that is not enabled), expired or wrong credentials
//	forbidden     UnauthorizedOperation, AccessDenied, a missing service-linked role
//	unavailable   no answer, 5xx, and what was made a moment ago and is not seen yet
//	invalid       every other 4xx
package aws
