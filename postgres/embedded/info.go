//go:build unix

package embedded

import "path/filepath"

// Info describes a running server, for purser doctor.
type Info struct {
	Binaries
	DataDir   string
	SocketDir string
	LogFile   string
	PID       int
	UID       int // the user that it runs as
}

// Info describes the server.
func (s *Server) Info() Info {
	return Info{Binaries: s.bins, DataDir: s.cfg.DataDir, SocketDir: s.sockets, LogFile: s.log.path, PID: s.process.pid, UID: int(s.id.uid)}
}

// Status is what can be seen of a data folder from outside, whoever runs its server.
type Status struct {
	DataDir string // with symbolic links resolved
	Major   int    // the data's major version; 0 when there is no data yet
	UID     int    // the user that the server runs as, or would
	LogFile string
	PID     int    // the server's process; 0 when none runs
	DSN     string // of the running server; "" when none runs or it is not ready
}

// Inspect looks at cfg's data folder and changes nothing. It needs the rights of the
// data's owner or root; its errors are those of Start about the folder.
func Inspect(cfg Config) (Status, error) {
	cfg, err := cfg.normalized()
	if err != nil {
		return Status{}, err
	}
	id, err := identityFor(cfg)
	if err != nil {
		return Status{}, err
	}
	content, err := inspect(cfg.DataDir)
	if err != nil {
		return Status{}, err
	}
	st := Status{DataDir: cfg.DataDir, Major: content.major, UID: int(id.uid), LogFile: logPath(cfg.DataDir)}
	if file, ok := readPidFile(cfg.DataDir); ok && isServerOn(file.pid, cfg.DataDir) {
		st.PID = file.pid
		if file.state == "ready" && filepath.IsAbs(file.sockets) {
			st.DSN = dsn(file.sockets, Database)
		}
	}
	return st, nil
}
