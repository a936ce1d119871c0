//go:build unix

package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

var fruit = Template{Name: "fruit", Migrate: func(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	// Left open on purpose: a clone must be possible all the same.
	_, err = conn.Exec(ctx, "create table fruit (name text); insert into fruit values ('apple')", pgx.QueryExecModeSimpleProtocol)
	return err
}}

func TestClonesShareNothing(t *testing.T) {
	for range 4 {
		t.Run("clone", func(t *testing.T) {
			t.Parallel()
			conn, err := pgx.Connect(t.Context(), New(t, fruit))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			if _, err := conn.Exec(t.Context(), "insert into fruit values ('pear')"); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := conn.QueryRow(t.Context(), "select count(*) from fruit").Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n != 2 {
				t.Errorf("the clone holds %d rows, want its own 2", n)
			}
		})
	}
}

func TestEmptyDatabase(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(t.Context(), "select count(*) from pg_tables where schemaname = 'public'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("a fresh database holds %d tables, want none", n)
	}
}

func TestSweepRemovesOnlyWhatIsAbandoned(t *testing.T) {
	base := t.TempDir()
	old := time.Now().Add(-2 * abandonedAfter)
	folder := func(name string) string {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Join(path, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	age := func(path string) {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	crashed, held, young, other := folder(folderPrefix+"crashed"), folder(folderPrefix+"held"), folder(folderPrefix+"young"), folder("other")
	for _, path := range []string{crashed, held} {
		f, err := os.Create(filepath.Join(path, "data.lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if path == held {
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
		}
	}
	alive := folder(folderPrefix + "alive")
	if err := os.WriteFile(filepath.Join(alive, "data", "postmaster.pid"), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	age(crashed)
	age(held)
	age(other)
	age(alive)
	sweepIn(base)
	for path, want := range map[string]bool{crashed: false, held: true, young: true, other: true, alive: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(path), err == nil, want)
		}
	}
}

func BenchmarkClone(b *testing.B) {
	New(b, fruit)
	for b.Loop() {
		New(b, fruit)
	}
}
