// Package embedded starts Purser's private PostgreSQL: one server process for one
// data folder, reached through a Unix socket alone, that lives and dies with the
// process that started it.
//
// # What is where
//
// For Config.DataDir = P/postgres the launcher keeps, beside it:
//
//	P/postgres            the data folder, mode 0700, owned by the server's user
//	P/postgres.lock       held (flock) for as long as the server runs; never removed
//	P/postgres.init-*     a data folder that is still being made; cleared at the next start
//	P/log/postgres.log    what the server says; at most two files of 8 MiB (.log, .log.1)
//
// and in the temporary folder (else /tmp, else $XDG_RUNTIME_DIR) the socket's folder,
// purser-pg-<hash of the data folder's path>, mode 0700, owned by the server's user.
//
// Authentication is "trust" inside the socket's folder: whoever may enter a folder of
// mode 0700 is the server's own user or root. There is no TCP listener.
//
// # States
//
//	start:  lock → (make data, into a sibling, renamed when whole) → end a server that
//	        survived its launcher → run postgres → postmaster.pid names our child →
//	        "select 1" → database "purser" exists → running
//	stop:   SIGINT (fast shutdown) → after 30 s SIGQUIT → after 10 s more SIGKILL
//
// # Failures
//
// Another launcher on the same folder is refused (conflict). A folder of another major
// version is refused when no fitting programs are found, without a byte changed
// (unavailable); nothing here ever removes or empties a data folder. A server whose launcher
// was killed gets SIGINT from the kernel on Linux; elsewhere the next start ends it. A server that
// was itself killed leaves a stale postmaster.pid, which PostgreSQL judges on its own: it is
// never deleted here. While a backend of the killed server still runs, PostgreSQL refuses to start
// and the launcher tries again for 60 s. A server that dies later closes Server.Done, and
// Server.Err says why.
//
// Run as root, the server drops to Config.User, else to the owner of the data, else to
// "postgres", else to uid 65534, because PostgreSQL refuses to run as root.
package embedded
