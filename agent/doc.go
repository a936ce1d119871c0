// Package agent runs the tasks of one lease on its machine and reports to the
// server.
//
// # Life of an agent
//
//	lock    one agent per lease: a second one ends at once (a record lock on agent.lock)
//	join    with the lease's join token and a secret of its own choice, kept in a
//	        0600 file, so that an agent that starts again is the same to the server
//	report  every second, and at once when something happened: what runs, what ended,
//	        how far it is, what it printed; the answer says what is to run
//	drain   when the server orders it, when the context ends (SIGTERM), when the server
//	        refuses it, or after GiveUp without a server: every task is asked to stop
//	        (SIGTERM), ended after StopGrace (SIGKILL), reported lost with its checkpoint,
//	        and the agent ends. From order to end takes at most 25 s.
//
// # Life of a task
//
//	waiting (for devices) → running (set-up, then command) → succeeded | failed | lost
//
// Each attempt has a working directory of its own, into which the group's files are
// written, and a process group of its own. A task that was told to stop, or that the
// server no longer wants, ends as lost whatever its exit code, since a command that
// saves a checkpoint on SIGTERM usually ends with 0.
//
// What a task's environment holds: PURSER_JOB, PURSER_PROJECT, PURSER_GROUP,
// PURSER_REPLICA (from 0), PURSER_REPLICAS (of a gang of several sizes, in the size
// that it has), PURSER_STAGES (replicas that hold one copy of the model together;
// replica r holds stage r mod stages), PURSER_ATTEMPT (from 1), PURSER_VARIANT,
// PURSER_TASK, PURSER_LEASE, PURSER_DEVICES (numbers with commas between; a share of
// a device has that device's number), CUDA_VISIBLE_DEVICES (the same, for GPUs; empty
// hides the others from a task without any), PURSER_CHECKPOINT_DIR (one per job, group
// and replica; what is in it is there in the next attempt), PURSER_PROGRESS_FILE (a
// number from 0 to 1 written there is the task's progress), PORT (services and groups
// with a port: the group's port where it is free on this machine, else another), and
// the group's own variables. Nothing of the agent's environment whose name begins
// with PURSER_ is passed on.
//
// # What a crash leaves
//
// A journal says which tasks were begun and how they ended, so that a result is
// reported once more rather than lost, and no task is run twice. Tasks die with
// their agent: on Linux their first process gets SIGKILL from the kernel, and the
// next agent, or the provider that started this one, ends what is left of their
// process groups, which are noted on disk. Lines that had not been sent are lost with
// the agent; a server that is away for minutes costs none up to LogMemory.
//
// # Failures
//
// A server that cannot be reached, or answers with 5xx, is asked again; one that
// answers unauthorized, forbidden, stale or not_found has ended the lease, and Run
// returns its error after the drain. Bad files, a missing container runtime or a
// set-up that fails make the task fail with the reason.
package agent
