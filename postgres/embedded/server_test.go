//go:build unix

package embedded

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
)

func TestStartAndStop(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		// Odd characters in the path must survive the command line and the DSN.
		cfg := Config{
			DataDir: filepath.Join(place(t), "sub dir, 'q\"", "post gres"), BinDir: k.Bins.Dir, Durable: true,
			Parameters: map[string]string{"work_mem": "5MB"}, Logger: testLogger(t),
		}
		s := mustStart(t, cfg)
		for query, want := range map[string]string{
			"select current_database() || ' ' || current_user": "purser purser",
			"show server_encoding":                             "UTF8",
			"show fsync":                                       "on",
			"show listen_addresses":                            "",
			"show work_mem":                                    "5MB",
			"show timezone":                                    "UTC",
			"show data_checksums":                              map[bool]string{true: "on", false: "off"}[k.Bins.Major >= 18],
		} {
			if got := ask(t, s.DSN(), query); got != want {
				t.Errorf("%s is %q, want %q", query, got, want)
			}
		}
		if collate := ask(t, s.DSN(), "select datcollate from pg_database where datname = 'purser'"); !strings.HasPrefix(collate, "C") {
			t.Errorf("the database sorts by %s, want a form of C", collate)
		}
		info := s.Info()
		if info.Dir != k.Bins.Dir || info.Major != k.Bins.Major || info.DataDir != resolve(cfg.DataDir) || !isServerOn(info.PID, info.DataDir) {
			t.Errorf("info is %+v", info)
		}
		if got := int(ownerOf(t, info.DataDir)); got != info.UID || got == 0 {
			t.Errorf("the data belongs to uid %d, the server runs as %d", got, info.UID)
		}
		st, err := os.Stat(info.SocketDir)
		if err != nil {
			t.Fatal(err)
		}
		if uid, _ := owner(st); st.Mode().Perm() != 0o700 || int(uid) != info.UID {
			t.Errorf("the socket's folder has mode %v and uid %d, want 0700 and %d", st.Mode(), uid, info.UID)
		}
		if st, err := Inspect(cfg); err != nil || st.PID != info.PID || st.DSN != s.DSN() || st.Major != info.Major || st.UID != info.UID || st.LogFile != info.LogFile {
			t.Errorf("from outside: %+v, %v; info is %+v", st, err, info)
		}
		execute(t, s.DSN(), "create table kept (n int); insert into kept values (42)")
		stopTwice(t, s)
		if st, err := Inspect(cfg); err != nil || st.PID != 0 || st.DSN != "" || st.Major != info.Major {
			t.Errorf("after Stop, from outside: %+v, %v", st, err)
		}
		if !gone(info.PID) {
			t.Error("the server is still there after Stop")
		}
		if _, err := os.Lstat(info.SocketDir); err == nil {
			t.Error("the socket's folder is still there after Stop")
		}
		again := mustStart(t, cfg)
		if got := ask(t, again.DSN(), "select n::text from kept"); got != "42" {
			t.Errorf("after a restart the table holds %s, want 42", got)
		}
	})
}

func stopTwice(t *testing.T, s *Server) {
	t.Helper()
	select {
	case <-s.Done():
		t.Fatal("the server is done before it was stopped")
	default:
	}
	results := make(chan error)
	for range 2 {
		go func() { results <- s.Stop(context.Background()) }()
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("stopping a stopped server: %v", err)
	}
	<-s.Done()
	if err := s.Err(); err != nil {
		t.Errorf("after Stop, Err is %v", err)
	}
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := owner(info)
	return uid
}

func TestStopWithABusyClient(t *testing.T) {
	k := kinds(t)[0]
	t.Parallel()
	s := mustStart(t, seeded(t, k))
	conn := connect(t, s.DSN())
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "select pg_sleep(600)")
		failed <- err
	}()
	eventually(t, "the query", func() bool {
		return ask(t, s.DSN(), "select count(*)::text from pg_stat_activity where query like '%pg_sleep(600)' and pid <> pg_backend_pid()") == "1"
	})
	began := time.Now()
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the query of ten minutes succeeded")
	}
	if took := time.Since(began); took > fastStop/2 {
		t.Errorf("a clean stop took %v", took)
	}
}

// A server that does not react to SIGINT gets SIGQUIT when the caller's patience ends.
func TestStopInAHurry(t *testing.T) {
	k := kinds(t)[0]
	t.Parallel()
	cfg := seeded(t, k)
	cfg.Durable = true
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, s.DSN(), "create table kept as select 7 n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err != nil && purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("stop says %v", err)
	}
	if !gone(s.Info().PID) || s.Err() != nil {
		t.Errorf("after Stop the server is there: %v; Err: %v", !gone(s.Info().PID), s.Err())
	}
	if got := ask(t, mustStart(t, cfg).DSN(), "select n::text from kept"); got != "7" {
		t.Errorf("the table holds %s, want 7", got)
	}
}

// A start can be given up at any step; then nothing runs and the folder can be used.
func TestInterruptedStart(t *testing.T) {
	k := kinds(t)[0]
	t.Parallel()
	fresh := Config{DataDir: filepath.Join(placeIn(t, memory()), "data"), BinDir: k.Bins.Dir}
	for _, c := range []struct {
		name string
		cfg  Config
		at   func(cfg Config) bool
	}{
		{"at once", seeded(t, k), func(Config) bool { return true }},
		{"initdb", fresh, func(cfg Config) bool {
			found, err := filepath.Glob(cfg.DataDir + ".init-*/base")
			return err == nil && len(found) > 0
		}},
		{"server", seeded(t, k), func(cfg Config) bool { _, ok := readPidFile(cfg.DataDir); return ok }},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			defer cancel()
			if ok, err := poll(t.Context(), deadline, func() (bool, error) { return c.at(c.cfg), nil }); !ok {
				t.Errorf("%s was not reached: %v", c.name, err)
			}
		}()
		if c.name == "at once" {
			<-watched
		}
		s, err := Start(ctx, c.cfg)
		<-watched
		switch {
		case err == nil && c.name == "server": // it was up before the interruption came
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		case purser.KindOf(err) != purser.KindUnavailable || !errors.Is(err, context.Canceled):
			t.Errorf("%s: the start says %v", c.name, err)
		}
		if file, ok := readPidFile(c.cfg.DataDir); ok && !gone(file.pid) {
			t.Errorf("%s: a server was left behind", c.name)
		}
		mustStart(t, c.cfg) // the lock is free and the data is whole
	}
}

func TestSecondLauncherIsRefused(t *testing.T) {
	k := kinds(t)[0]
	t.Parallel()
	cfg := seeded(t, k)
	first := mustStart(t, cfg)
	_, err := Start(t.Context(), cfg)
	if purser.KindOf(err) != purser.KindConflict || !strings.Contains(err.Error(), "already in use") {
		t.Errorf("the second start in one process says %v", err)
	}
	link := filepath.Join(place(t), "link")
	if err := os.Symlink(cfg.DataDir, link); err != nil {
		t.Fatal(err)
	}
	other := cfg
	other.DataDir = link
	if _, err := Start(t.Context(), other); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("a start by another name of the folder says %v", err)
	}
	l := startLauncher(t, cfg)
	if line, err := l.out.ReadString('\n'); err == nil {
		t.Errorf("a second launcher process came up: %s", line)
	}
	if ask(t, first.DSN(), "select 'well'") != "well" {
		t.Error("the first server suffered")
	}
}

func TestHalfMadeDataIsIgnored(t *testing.T) {
	k := kinds(t)[0]
	t.Parallel()
	cfg := Config{DataDir: filepath.Join(place(t), "data[1]"), BinDir: k.Bins.Dir, Logger: testLogger(t)}
	half := cfg.DataDir + ".init-half"
	if err := os.MkdirAll(filepath.Join(half, "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	neighbour := filepath.Join(filepath.Dir(cfg.DataDir), "data1.init-mine")
	if err := os.Mkdir(neighbour, 0o700); err != nil {
		t.Fatal(err)
	}
	mustStart(t, cfg)
	if exists(half) {
		t.Error("the half-made data folder is still there")
	}
	if !exists(neighbour) {
		t.Error("a folder of another name was removed")
	}
}

func TestLauncherKilledWhileMakingData(t *testing.T) {
	k := kinds(t)[0]
	t.Parallel()
	cfg := Config{DataDir: filepath.Join(place(t), "data"), BinDir: k.Bins.Dir, Logger: testLogger(t)}
	l := startLauncher(t, cfg)
	eventually(t, "initdb", func() bool {
		found, err := filepath.Glob(cfg.DataDir + ".init-*/global")
		return err == nil && len(found) > 0
	})
	l.kill()
	if exists(cfg.DataDir) {
		t.Fatal("the data folder was there before it was whole")
	}
	mustStart(t, cfg)
	if left, err := filepath.Glob(cfg.DataDir + ".init-*"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func TestRefusedDataFolders(t *testing.T) {
	t.Parallel()
	root := place(t)
	file := filepath.Join(root, "file")
	foreign := filepath.Join(root, "foreign")
	damaged := filepath.Join(root, "damaged")
	for path, text := range map[string]string{file: "x", filepath.Join(foreign, "thesis.doc"): "x", filepath.Join(damaged, "PG_VERSION"): "fifteen"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		cfg  Config
		kind purser.Kind
		says string
	}{
		{"none", Config{}, purser.KindInvalid, "needs a data folder"},
		{"root", Config{DataDir: "/"}, purser.KindInvalid, "cannot be / itself"},
		{"file", Config{DataDir: file}, purser.KindInvalid, "not a folder"},
		{"foreign", Config{DataDir: foreign}, purser.KindConflict, "thesis.doc"},
		{"damaged", Config{DataDir: damaged}, purser.KindInvalid, `"fifteen"`},
		{"reserved", Config{DataDir: root, Parameters: map[string]string{"port": "1"}}, purser.KindInvalid, "port"},
		{"setting", Config{DataDir: root, Parameters: map[string]string{"a b": "1"}}, purser.KindInvalid, `"a b"`},
		{"user", Config{DataDir: filepath.Join(root, "new"), User: "no-such-user"}, purser.KindInvalid, "no-such-user"},
		{"programs", Config{DataDir: filepath.Join(root, "new"), BinDir: filepath.Join(root, "nowhere")}, purser.KindUnavailable, "apt-get install postgresql"},
	} {
		before := fingerprint(t, root)
		_, err := Start(t.Context(), c.cfg)
		if purser.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want kind %s and %q", c.name, err, c.kind, c.says)
		}
		if after := fingerprint(t, root); without(after, ".lock") != without(before, ".lock") {
			t.Errorf("%s: changed\n%s\nto\n%s", c.name, before, after)
		}
	}
}

func TestServerSetting(t *testing.T) {
	k := kinds(t)[0]
	t.Parallel()
	cfg := seeded(t, k)
	cfg.Parameters = map[string]string{"shared_buffers": "many"}
	_, err := Start(t.Context(), cfg)
	if purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers": "many"`) {
		t.Errorf("a wrong setting gives %v", err)
	}
}

// fingerprint is every name, mode, owner, time and byte below dir.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		uid, gid := owner(info)
		var content []byte
		stamp := ""
		if d.Type().IsRegular() {
			if content, err = os.ReadFile(name); err != nil {
				return err
			}
			stamp = info.ModTime().Format(time.RFC3339Nano)
		}
		b.WriteString(strings.Join([]string{name, info.Mode().String(), itoa(uid), itoa(gid), stamp, hash(content)}, " ") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// without drops the lines about names that end in suffix.
func without(text, suffix string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if name, _, _ := strings.Cut(line, " "); !strings.HasSuffix(name, suffix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestDSNIsReadable(t *testing.T) {
	u, err := url.Parse(dsn("/tmp/a b,c?d", "purser"))
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Query().Get("host"); got != "/tmp/a b,c?d" || u.User.Username() != "purser" || u.Path != "/purser" {
		t.Errorf("host %q, user %q, path %q", got, u.User.Username(), u.Path)
	}
}
