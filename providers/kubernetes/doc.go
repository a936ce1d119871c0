// Package kubernetes makes machines out of the free devices of a Kubernetes cluster, and
// runs their tasks there itself: it is a Provider with capacity of its own (Offerer) that
// needs no agent (Runner). One Provider looks after one cluster.
//
// # A machine is a claim
//
// The lease's machine is a part of one member of the cluster, and what stands for it is a
// ConfigMap named purser-<lease> (the claim) that says where the part lies and how large it
// is. A ConfigMap and not a coordination Lease: nothing in a cluster acts on it, it has room
// for what became of tasks, and permission to write it is no permission to take part in
// leader elections. The claim is all the state there is, so two servers may work at once:
//
//	1 create   the name is the lease's, so the API server lets one through: a lease has one claim
//	2 look     a list of claims that is not cached has every claim that was created earlier; if
//	           all claims up to ours, in their order, fit beside the pods of others
//	3 hold     … it is marked held; else it is moved to the next place, behind everyone who
//	           chose earlier, or deleted where there is none: no_capacity
//
// The order is the resourceVersion of the write that gave a claim its place; the write that
// marks it held writes that down. Steps 2 and 3 are conditional on the version that was read, so
// whoever comes second, also for the same lease, finds what the first one did. A launch that
// was cut off anywhere is taken up at the same step by the next.
//
// # The end
//
// Terminate marks the claim as ending, writes down what became of each task and deletes
// their Jobs and Deployments in the foreground, which stops pods with 25 s for a last
// checkpoint. When the last is gone the claim is a tombstone: a late Launch gets Gone, for a
// day, until Sweep removes it. Ending a lease that has no claim writes a tombstone too. A
// machine cannot power itself off, and there is no user data: it has no agent.
//
//	pending    created and not held yet
//	running    held; also while its place is cordoned, drained or tainted for removal, or has
//	           not been Ready for less than 5 min: Interruptions tells of that, and the end
//	           still has to be asked for
//	stopping   ending, and its last pods are on their way out
//	gone       nothing is left of an ending claim; or its place has left the cluster, or has
//	           not been Ready for 5 min
//
// # Offers
//
// An offer stands for parts that are alike: allocatable − the requests of pods that do not
// belong to a claim − claims. Whole devices of a place make one machine; slices (MIG,
// time-sliced replicas) make one each, where a slice is 1/8, 1/4 or 1/2 of a device. The
// instance type is the class (machine type, accelerator, kind of slice, spot) and the size,
// e.g. p5.48xlarge-h100-8d-186c-2000g; Launch takes any place of the class where that size is
// free. Devices come from device plugins or, where a place has none of them, from
// ResourceSlices. Spot places are private offers like the others, since they are paid for
// by whoever owns the cluster; their class and source say spot. What is left out, and why,
// is told by Omitted. Nothing is free of charge by accident: what has no price is left out.
//
// Claims of all installations in one namespace are respected. The cluster's scheduler knows
// nothing of claims: what others start on a claimed place takes its room, and a task that
// does not fit then is lost after Config.Patience, as no_capacity. Whoever wants claims to
// be safe keeps places to Purser with a taint (Config.Tolerations).
//
// # Tasks
//
// A training task is an Indexed Job with one completion, a service a Deployment with one
// replica, named after the task: a task runs at most once at a time in a cluster. Their pods
// are pinned by node affinity, not by nodeName, so that the scheduler still checks that
// they fit. Attempts are Purser's: backoffLimit is 0, and every exit code but 0 fails the
// Job. A disruption (DisruptionTarget) is no failure: the pod is made anew on its place once
// the first one has ended, and goes on from its checkpoint; Interruptions tells of it, and
// where the place cannot be had any more the task ends with its machine, as lost. A task
// that was told to stop ends as lost whatever its exit code, as with an agent.
// activeDeadlineSeconds is only used to stop one, for groups have deadlines to be planned
// for and none to be killed at. Jobs are kept for a day at most (ttlSecondsAfterFinished)
// should nobody read them.
//
// With a queue of Kueue, Jobs are made suspended with its label, and it decides when they
// start; Deployments carry the label too.
//
// What runs a task is noted on its claim before it is made: a task has one name at a time,
// and caches that lack what is noted are not believed.
//
// # Gangs
//
// Where the cluster has JobSet (jobset.x-k8s.io/v1alpha2, by discovery) and the account may
// use it, the replicas of a gang are one JobSet, named after the installation, job, group and
// attempts. It is made when all their machines are held, suspended, and released when all
// claims have been confirmed; see RunGang. Each member has a replicated job of its own, since
// each is pinned to another place; it is the Job that it would be alone, in a network where
// the members have stable names (PURSER_HOSTS). With a queue the JobSet carries the label, and
// Kueue admits the gang as a whole; it takes 8 members so, and larger gangs go one by one.
//
//	a member fails         JobSet fails as a whole and ends the rest, which are lost; should
//	                       its controller not act, the JobSet is deleted after Config.Patience
//	a member succeeds      its Job stays until all have ended (JobSet would make it anew); its
//	                       machine may end before
//	one is told to stop,   all claims note how their member ends, then the JobSet is deleted in
//	or its machine ends    the foreground; each is told as lost when its own pods are gone
//	JobSet leaves          so do the tasks, which are started anew, one by one
//
// Attempts are Purser's: JobSet restarts nothing (maxRestarts 0), and the next attempt is
// another JobSet. Without JobSet members are Jobs of their own, and one that fails leaves
// the others as they are.
//
// A share of a device can only be had as a slice of that size: a task for 1/8 cannot run
// on a machine of whole devices and is refused as invalid. A command's image needs a shell
// (/bin/sh); an image without a command runs as it is and gets SIGTERM alone.
//
// # Reading
//
// While Interruptions runs it keeps caches by watching (JobSets too, from when the cluster
// has them), and Offers, Works and List read them
// (Launch, for its first choice). What decides (claims, in Launch, Describe, Terminate and
// Run) is always asked directly, and tasks are read directly until the caches have what this
// process wrote. Without Interruptions everything is read directly, and nothing else differs.
//
// # Failures
//
// See errors.go for the table. no_capacity is Purser's own finding that no place has room;
// quota is a ResourceQuota. Throttled calls are not repeated here, however long the server
// asks to wait, and the SDK's own repetitions are off.
package kubernetes
