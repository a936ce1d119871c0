package embedded

import (
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"purser"
)

const (
	// Role is the superuser that owns everything in the private server.
	Role = "purser"
	// Database is made at the first start and named by Server.DSN.
	Database = "purser"
	// MinMajor is the oldest PostgreSQL whose SQL Purser uses.
	MinMajor = 15
)

// Config says where the data lies and how the server is run. Only DataDir is required.
type Config struct {
	// DataDir is the data folder. It is made when it is missing or empty; its path should
	// hold no version, since programs are chosen to fit the data and not the reverse.
	DataDir string
	// BinDir is a folder with initdb and postgres. When set, no other is tried.
	BinDir string
	// NodeModules is a folder that may hold @embedded-postgres/<platform>, the last place
	// that is searched for programs.
	NodeModules string
	// CacheDir receives copies of programs that the server's user may not read where they
	// lie. Default: /var/cache/purser as root, else the user's cache folder.
	CacheDir string
	// User is the account, by name or number, that the server runs as when the launcher is
	// root. Otherwise the server runs as the launcher and User must be empty or the launcher.
	User string
	// Durable turns fsync on. False is for tests: a power cut may then lose everything.
	Durable bool
	// Logger receives progress and trouble; nil means none.
	Logger *slog.Logger
	// Parameters are server settings (postgresql.conf names), which win over the launcher's
	// defaults except where the launcher depends on them.
	Parameters map[string]string
}

// reserved settings decide where the server listens and what the launcher waits for.
var reserved = []string{
	"config_file", "data_directory", "external_pid_file", "hba_file", "ident_file", "lc_messages", "listen_addresses",
	"log_destination", "logging_collector", "port", "ssl", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions",
}

var parameterName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)

// normalized checks c and resolves its data folder, so that two names of one folder
// give one lock and one socket.
func (c Config) normalized() (Config, error) {
	const op = "embedded.Config"
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DataDir == "" {
		return c, fail(purser.KindInvalid, op, nil, "the private Postgres needs a data folder")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, fail(purser.KindInvalid, op, err, "the data folder %q has no absolute path", c.DataDir)
	}
	if filepath.Dir(dir) == dir {
		return c, fail(purser.KindInvalid, op, nil, "the data folder cannot be %s itself", dir)
	}
	c.DataDir = resolve(dir)
	for _, name := range slices.Sorted(maps.Keys(c.Parameters)) {
		if !parameterName.MatchString(name) {
			return c, fail(purser.KindInvalid, op, nil, "%q is not the name of a Postgres setting", name)
		}
		if slices.Contains(reserved, name) {
			return c, fail(purser.KindInvalid, op, nil, "the Postgres setting %s belongs to the launcher and cannot be changed", name)
		}
	}
	return c, nil
}

// resolve follows symbolic links in as much of path as exists.
func resolve(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolve(parent), filepath.Base(path))
}

// arguments is the server's command line.
func (c Config) arguments(socketDir string) []string {
	settings := map[string]string{
		"shared_buffers":  "128MB",
		"max_connections": "100",
		"timezone":        "UTC",
		"log_timezone":    "UTC",
		"log_line_prefix": "%m [%p] ",
	}
	if !c.Durable {
		settings["fsync"] = "off"
		settings["synchronous_commit"] = "off"
		settings["full_page_writes"] = "off"
	}
	maps.Copy(settings, c.Parameters)
	settings["lc_messages"] = "C" // its messages are read for two known refusals
	settings["listen_addresses"] = ""
	settings["log_destination"] = "stderr"
	settings["logging_collector"] = "off"
	settings["port"] = socketPort
	settings["ssl"] = "off"
	settings["unix_socket_directories"] = `"` + strings.ReplaceAll(socketDir, `"`, `""`) + `"`
	settings["unix_socket_permissions"] = "0700"
	args := []string{"-D", c.DataDir}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}
