// Package notice tells a machine what its own cloud says to it through the metadata
// service: that it will be taken back, that it is likelier than usual to be, or that
// maintenance is due.
//
// # Which cloud
//
// Three short questions, each of which only one cloud answers, asked at once and a few
// times over, since the service may come up later than the machine does:
//
//	AWS           PUT /latest/api/token gives a token (IMDSv2; version 1 is never asked)
//	Google Cloud  GET / answers with Metadata-Flavor: Google
//	Azure         GET /metadata/instance/compute/name gives the machine's name
//
// Who gets no answer from any ends quietly; who got one does not ask again.
//
// # What is watched
//
//	AWS           every 5 s: spot/instance-action (2 minutes ahead), events/recommendations/
//	              rebalance, events/maintenance/scheduled
//	Google Cloud  one long poll each: instance/preempted (30 s ahead), instance/
//	              maintenance-event
//	Azure         every second, every 5 s while it fails: scheduledevents (30 s ahead at
//	              least). Events of other machines of the same set are passed over. Events
//	              are never acknowledged: that would hasten them, and what is asked of the
//	              machine (stop at a checkpoint, then power off) takes seconds.
//
// Sources: docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
// cloud.google.com/compute/docs/metadata/querying-metadata,
// learn.microsoft.com/azure/virtual-machines/linux/scheduled-events.
//
// # What is told
//
// Each thing once. Leave says that the tasks have to stop now: at a preemption, and at
// maintenance that will stop the machine, Lead before it begins. Google Cloud announces
// the latter without a time, so it counts as due when it is announced.
//
// # Failures
//
// None ends the watch: a service that is slow, gone, refuses, or talks nonsense is asked
// again; a text that is not understood counts as nothing said.
package notice
