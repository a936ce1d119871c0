//go:build unix

package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

const (
	launchVariable = "PURSER_EMBEDDED_LAUNCH" // JSON of a launch: be a launcher, not a test binary
	kindsVariable  = "PURSER_EMBEDDED_KINDS"  // JSON of []kind: programs that the parent has found
)

// deadline bounds every wait of a test.
const deadline = 60 * time.Second

// launch is what a launcher process is told; Config itself holds a logger.
type launch struct {
	DataDir, BinDir string
	Durable         bool
}

func TestMain(m *testing.M) {
	if text := os.Getenv(launchVariable); text != "" {
		os.Exit(beLauncher(text))
	}
	code := m.Run()
	seeds.remove()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// beLauncher starts a server, says so on stdout, and waits to be killed or for stdin to end.
func beLauncher(text string) int {
	var l launch
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s, err := Start(context.Background(), Config{DataDir: l.DataDir, BinDir: l.BinDir, Durable: l.Durable, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.Info().PID, s.DSN())
	io.Copy(io.Discard, os.Stdin)
	if err := s.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// launcher is a launcher process that a test may kill.
type launcher struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func startLauncher(t *testing.T, cfg Config) *launcher {
	t.Helper()
	text, err := json.Marshal(launch{cfg.DataDir, cfg.BinDir, cfg.Durable})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), launchVariable+"="+string(text))
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe() // the launcher stops when the test is gone
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &launcher{cmd: cmd, out: bufio.NewReader(stdout)}
	t.Cleanup(func() {
		stdin.Close()
		l.kill()
	})
	return l
}

// ready waits until the launcher's server is up.
func (l *launcher) ready(t *testing.T) (pid int, dsn string) {
	t.Helper()
	line, err := l.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the launcher did not come up: %v", err)
	}
	if _, err := fmt.Sscan(line, &pid, &dsn); err != nil {
		t.Fatalf("the launcher says %q: %v", line, err)
	}
	return pid, dsn
}

// kill is kill -9, and waits until the launcher is gone.
func (l *launcher) kill() {
	l.cmd.Process.Kill() // an error means that it is gone already
	l.cmd.Wait()         // its result is of no interest
}

// kind is one sort of installation that is tested.
type kind struct {
	Name string
	Bins Binaries
}

// kinds gives the host's programs and the npm package's. Only in CI must both be there.
func kinds(t *testing.T) []kind {
	t.Helper()
	if text := os.Getenv(kindsVariable); text != "" {
		var list []kind
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	var list []kind
	data := filepath.Join(place(t), "data")
	bins, err := FindBinaries(Config{DataDir: data})
	if err == nil {
		list = append(list, kind{"host", bins})
	} else {
		t.Logf("the host's programs are not tested: %v", err)
	}
	bins, npmErr := FindBinaries(Config{DataDir: data, BinDir: npmBin(t)})
	if npmErr == nil {
		list = append(list, kind{"npm", bins})
	} else {
		t.Logf("the npm package's programs are not tested: %v", npmErr)
	}
	if len(list) == 0 || len(list) < 2 && os.Getenv("CI") != "" {
		t.Fatal("these tests need PostgreSQL of both kinds: apt-get install postgresql, and npm ci in the repository")
	}
	return list
}

// npmBin is where npm ci puts the programs.
func npmBin(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "node_modules", filepath.FromSlash(npmPackage()), "native", "bin")
}

// eachKind runs a test with each kind of programs, side by side.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	t.Helper()
	t.Parallel()
	for _, k := range kinds(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// memory is Linux's file system in memory, where making a cluster's 1,000 files takes a tenth of
// the time; elsewhere the temporary folder.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && runtime.GOOS == "linux" {
		return "/dev/shm"
	}
	return os.TempDir()
}

// place is a temporary folder that the server's user may pass through. Programs can be
// run from it.
func place(t *testing.T) string { return placeIn(t, os.TempDir()) }

func placeIn(t *testing.T, base string) string {
	t.Helper()
	dir, err := os.MkdirTemp(base, "purser-embedded-") //nolint:usetesting // t.TempDir is closed to the server's user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return resolve(dir)
}

// seeds are data folders made once for each version and copied by the tests.
var seeds = &seedStore{made: map[string]func() (string, error){}}

type seedStore struct {
	mu    sync.Mutex
	made  map[string]func() (string, error)
	roots []string
}

func (s *seedStore) remove() {
	for _, dir := range s.roots {
		os.RemoveAll(dir)
	}
}

func (s *seedStore) get(k kind) (string, error) {
	s.mu.Lock()
	makeOnce, ok := s.made[k.Bins.Version]
	if !ok {
		makeOnce = sync.OnceValues(func() (string, error) {
			root, err := os.MkdirTemp(memory(), "purser-embedded-")
			if err != nil {
				return "", err
			}
			s.mu.Lock()
			s.roots = append(s.roots, root)
			s.mu.Unlock()
			if err := os.Chmod(root, 0o755); err != nil {
				return "", err
			}
			cfg := Config{DataDir: filepath.Join(root, "data"), BinDir: k.Bins.Dir}
			server, err := Start(context.Background(), cfg)
			if err != nil {
				return "", err
			}
			return cfg.DataDir, server.Stop(context.Background())
		})
		s.made[k.Bins.Version] = makeOnce
	}
	s.mu.Unlock()
	return makeOnce()
}

// seeded is a Config whose data folder holds a cluster that was stopped cleanly. The copy
// belongs to the test's own user, root's included, so that every such start also adopts it.
func seeded(t *testing.T, k kind) Config {
	t.Helper()
	seed, err := seeds.get(k)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{DataDir: filepath.Join(placeIn(t, memory()), "data"), BinDir: k.Bins.Dir, Logger: testLogger(t)}
	if err := os.CopyFS(cfg.DataDir, os.DirFS(seed)); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// mustStart starts a server that is stopped with the test.
func mustStart(t *testing.T, cfg Config) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	s, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// execute runs SQL on a connection of its own.
func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	conn := connect(t, dsn)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// ask is the one value that a query gives, as text.
func ask(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn := connect(t, dsn)
	defer conn.Close(context.Background())
	var v string
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// eventually polls until ok is true, and fails the test at the deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	done, err := poll(t.Context(), deadline, func() (bool, error) { return ok(), nil })
	if err != nil || !done {
		t.Fatalf("%s did not happen in %v (%v)", what, deadline, err)
	}
}

// gone reports whether a process has ended, even if its parent has not yet asked how.
func gone(pid int) bool { return processArguments(pid) == "" }

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux signals a server whose launcher has died")
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files that belong to others")
	}
}

// recorder is a logger whose text a test can read.
type recorder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *recorder) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }
