//go:build unix

package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// kept makes a table with one committed row; keptStill fails unless it is there.
func kept(t *testing.T, dsn string) {
	t.Helper()
	execute(t, dsn, "create table kept as select 42 n")
}

func keptStill(t *testing.T, s *Server) {
	t.Helper()
	if got := ask(t, s.DSN(), "select n::text from kept"); got != "42" {
		t.Errorf("the table holds %s, want 42", got)
	}
}

func TestLauncherKilled(t *testing.T) {
	needLinux(t)
	eachKind(t, func(t *testing.T, k kind) {
		cfg := seeded(t, k)
		cfg.Durable = true
		l := startLauncher(t, cfg)
		pid, dsn := l.ready(t)
		kept(t, dsn)
		killed := time.Now()
		l.kill()
		eventually(t, "the server's end", func() bool { return gone(pid) })
		t.Logf("the server was gone %v after its launcher", time.Since(killed))
		if _, ok := readPidFile(cfg.DataDir); ok {
			t.Error("postmaster.pid is still there: the server did not stop cleanly")
		}
		keptStill(t, mustStart(t, cfg))
	})
}

// The next launcher starts while the server of the killed one is still there.
func TestStartRightAfterLauncherWasKilled(t *testing.T) {
	needLinux(t)
	k := kinds(t)[0]
	t.Parallel()
	cfg := seeded(t, k)
	for range 3 {
		l := startLauncher(t, cfg)
		l.ready(t)
		l.kill()
	}
	s := mustStart(t, cfg)
	kept(t, s.DSN())
}

// Without a death signal (macOS) the server outlives its launcher; the next start ends it.
func TestSurvivorIsEnded(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		cfg := seeded(t, k)
		s := mustStart(t, cfg)
		kept(t, s.DSN())
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		norm, err := cfg.normalized()
		if err != nil {
			t.Fatal(err)
		}
		sockets, err := socketDir(norm, s.id)
		if err != nil {
			t.Fatal(err)
		}
		survivor := s.id.command(context.Background(), "/", filepath.Join(k.Bins.Dir, "postgres"), norm.arguments(sockets)...)
		survivor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.id.credential()}
		if err := survivor.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- survivor.Wait() }()
		eventually(t, "the survivor", func() bool {
			file, ok := readPidFile(cfg.DataDir)
			return ok && file.pid == survivor.Process.Pid && file.state == "ready"
		})
		if !isServerOn(survivor.Process.Pid, norm.DataDir) || isServerOn(survivor.Process.Pid, norm.DataDir+"x") || isServerOn(os.Getpid(), norm.DataDir) {
			t.Error("the survivor is not recognised, or something else is")
		}
		again := mustStart(t, cfg)
		if err := <-ended; err != nil {
			t.Errorf("the survivor ended with %v", err)
		}
		if again.Info().PID == survivor.Process.Pid {
			t.Error("the survivor was taken for the new server")
		}
		keptStill(t, again)
	})
}

func TestServerKilledWhileABackendIsBusy(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		cfg := seeded(t, k)
		cfg.Durable = true
		var log recorder
		cfg.Logger = log.logger()
		s, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		kept(t, s.DSN())
		conn := connect(t, s.DSN())
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			// A loop without a wait does not notice that the postmaster has died.
			conn.Exec(context.Background(), `do $$ declare e timestamptz := clock_timestamp() + '3 s'; begin while clock_timestamp() < e loop end loop; end $$`)
		}()
		eventually(t, "the busy backend", func() bool {
			return ask(t, s.DSN(), "select count(*)::text from pg_stat_activity where state = 'active' and query like 'do %'") == "1"
		})
		if err := syscall.Kill(s.Info().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if err := s.Err(); purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "killed") {
			t.Errorf("Err says %v", err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("stopping a dead server: %v", err)
		}
		again := mustStart(t, cfg)
		keptStill(t, again)
		if !strings.Contains(log.String(), "waiting for a query of the killed postgres to end") {
			t.Errorf("the start did not say what it waited for:\n%s", log.String())
		}
		<-finished
	})
}

// processesOf lists the server's processes, the postmaster first.
func processesOf(t *testing.T, s *Server) []int {
	t.Helper()
	conn := connect(t, s.DSN())
	rows, err := conn.Query(t.Context(), "select pid from pg_stat_activity where pid <> pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(context.Background())
	return append([]int{s.Info().PID}, pids...)
}

func killAll(t *testing.T, s *Server) {
	t.Helper()
	pids := processesOf(t, s)
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	<-s.Done()
	if s.Err() == nil {
		t.Error("Err is nil after the server was killed")
	}
	for _, pid := range pids {
		eventually(t, "the end of process "+strconv.Itoa(pid), func() bool { return gone(pid) })
	}
}

func TestAllProcessesKilled(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		cfg := seeded(t, k)
		cfg.Durable = true
		s, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		kept(t, s.DSN())
		killAll(t, s)
		if _, ok := readPidFile(cfg.DataDir); !ok {
			t.Fatal("the killed server left no postmaster.pid: this test tests nothing")
		}
		keptStill(t, mustStart(t, cfg))
	})
}

// After a restart of a machine or a container the pid in a stale postmaster.pid may
// belong to some other process of the same user, or to one of our threads.
func TestStalePidOfAnUnrelatedProcess(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		cfg := seeded(t, k)
		cfg.Durable = true
		s, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		kept(t, s.DSN())
		killAll(t, s)
		sleep, err := exec.LookPath("sleep")
		if err != nil {
			t.Fatal(err)
		}
		stranger := s.id.command(context.Background(), "/", sleep, "600")
		if err := stranger.Start(); err != nil {
			t.Fatal(err)
		}
		defer stranger.Wait()
		defer stranger.Process.Kill()
		name := filepath.Join(cfg.DataDir, "postmaster.pid")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\n")
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0) // the owner stays
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(strconv.Itoa(stranger.Process.Pid) + "\n" + rest); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		keptStill(t, mustStart(t, cfg))
		if gone(stranger.Process.Pid) {
			t.Error("the unrelated process was ended")
		}
	})
}
