// Package ssh runs leases on the operator's own hosts, which it reaches over SSH: a pool
// of machines that no cloud manages. Each host of the inventory is one private offer with
// its free places as Limit; a lease's machine is one `purser agent` process there.
//
// # One machine per lease, whatever is lost when
//
// The host itself remembers: every lease has a folder, and after its end a mark, below one
// folder for each host (scripts/lib.sh draws it). Each call is one POSIX shell script, fed
// on standard input as one compound command, so that a script that did not arrive whole
// does nothing. Scripts hold a lock (flock) while they change anything.
//
//	launch   finds the mark, the agent or the place of the lease; else takes a place.
//	         Missing is the program: it says so, the program is written beside its name,
//	         checked by SHA-256 and renamed, and launch is repeated. The shell that is to
//	         become the agent notes its number, start and boot under the same lock and only
//	         then becomes it: two can never be, and one that was cut off is found.
//	end      notes the end, tells the agent (SIGTERM: stop tasks at a checkpoint), returns.
//	         Each later look kills it after StopGrace; when it is gone, for whatever reason,
//	         what is left of its tasks is killed, the mark is written, the folder removed.
//
// A connection that is lost before, in or after any of this leaves what the next call takes
// up. A lease goes to the host of its offer and to no other, so nothing is decided between
// hosts. What other people run on a host is not looked at. The mark is kept for Remember (a day): an ended lease gets its machine back as
// gone, also when it was ended before it was launched; Sweep removes older ones.
//
// # States
//
//	pending    the lease has a place, and its agent was not started yet
//	running    its agent's process lives
//	stopping   its end was asked for, or its agent is gone and tasks are being killed
//	gone       the mark is all that is left
//
// # A host that does not answer
//
// Nothing is known of its leases, and a guess could end work that runs. So List fails,
// naming the host, and the fleet ends nothing; Describe and Terminate fail for leases of
// that host alone and go on working for all others, and so does Launch. Offers leaves it
// out. An operator who knows that it is down says so with Host.Drained: List then passes
// over it, and a drained host takes no new lease, while what runs there is found, shown and
// ended as long as it answers. A host is taken out of the inventory when it has no leases
// left; until then leases of an unknown host are unavailable, not gone.
//
// # Host keys and identity
//
// Each host's keys are pinned in the inventory. Any other key is refused (forbidden), with
// the fingerprint that was seen as hint; nothing is ever learnt by first use. The join
// token travels on standard input into a 0600 file and is in no command line.
//
// # What the account on the host needs
//
// No root. A home folder (or Host.Root) on a disk that lets programs run, a POSIX sh, flock
// and setsid (util-linux), sha256sum (coreutils), Linux with /proc; access to the devices,
// and to podman or docker where tasks use containers. No sftp, no terminal, no forwarding.
// Processes must outlive their session: where systemd-logind has KillUserProcesses=yes,
// `loginctl enable-linger ACCOUNT`. The account is Purser's alone, since its processes can
// read the token. The host must reach the server's address.
//
// # Failures
//
// unavailable where a host refuses the connection, does not answer in time or hangs up, or
// its lock is held; unauthorized for an identity that it does not take; forbidden for a host
// key that is not pinned, a folder that cannot be written and another installation's
// requests; no_capacity for a host whose places are taken, that is drained or whose disk is
// full; conflict for another client token; invalid for a host that is not in the inventory
// or lacks a tool; throttled where the host opens no more sessions.
package ssh
