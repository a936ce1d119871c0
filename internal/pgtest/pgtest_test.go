//go:build unix

package pgtest

import (
	"context"
	"os"
	"testing"

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
