package postgres

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
	"purser/internal/pgtest"
)

func TestMigrateManyAtOnceAndTwice(t *testing.T) {
	dsn := pgtest.DSN(t)
	var wg sync.WaitGroup
	applied := make([]int, 3)
	errs := make([]error, 3)
	for i := range applied {
		wg.Go(func() { applied[i], errs[i] = Migrate(t.Context(), dsn) })
	}
	wg.Wait()
	workers := 0
	for i := range applied {
		if errs[i] != nil {
			t.Fatalf("one of three at once: %v", errs[i])
		}
		if applied[i] > 0 {
			workers++
		}
	}
	if workers != 1 {
		t.Errorf("%v migrations applied; want one to have worked and two to have waited", applied)
	}
	if n, err := Migrate(t.Context(), dsn); err != nil || n != 0 {
		t.Errorf("the second time %d were applied, %v", n, err)
	}
	db, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A migration that is given up at any moment is taken up by the next one.
func TestMigrateIsInterrupted(t *testing.T) {
	dsn := pgtest.DSN(t)
	given := 0
	for wait := 5 * time.Millisecond; ; wait += 15 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err := Migrate(ctx, dsn)
		cancel()
		if err == nil {
			break
		}
		given++
		if wait > 20*time.Second {
			t.Fatal(err)
		}
	}
	db, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatalf("after %d that were given up: %v", given, err)
	}
	db.Close()
	if given == 0 {
		t.Error("none was given up")
	}
}

func TestOpenRefusesAnotherSchema(t *testing.T) {
	dsn := pgtest.DSN(t)
	_, err := Open(t.Context(), dsn, Options{})
	wantKind(t, err, purser.KindConflict)
	if !strings.Contains(err.Error(), "purser migrate") {
		t.Errorf("%v does not say what to do", err)
	}
	must(Migrate(t.Context(), dsn))(t)
	conn := must(pgx.Connect(t.Context(), dsn))(t)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	must(conn.Exec(t.Context(), "insert into goose_db_version (version_id, is_applied) values (99999, true)"))(t)
	_, err = Open(t.Context(), dsn, Options{})
	wantKind(t, err, purser.KindConflict)
	_, err = Migrate(t.Context(), dsn)
	wantKind(t, err, purser.KindConflict)
	_, err = Open(t.Context(), "postgres://u:topsecret@[bad", Options{})
	wantKind(t, err, purser.KindInvalid)
	if strings.Contains(err.Error(), "topsecret") {
		t.Errorf("%v shows the password", err)
	}
	_, err = Migrate(t.Context(), "host=/nowhere dbname=x")
	wantKind(t, err, purser.KindUnavailable)
}

func TestEveryTableHasAnOwnerAndEveryCheckAName(t *testing.T) {
	db, _ := fresh(t)
	rows := must(db.Pool().Query(t.Context(), `select c.relname, coalesce(obj_description(c.oid, 'pg_class'), '') from pg_class c
		join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> 'goose_db_version'`))(t)
	var name, comment string
	tables := map[string]bool{}
	must(pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		tables[name] = true
		if !strings.HasPrefix(comment, "owner: ") {
			t.Errorf("table %s does not say its owner: %q", name, comment)
		}
		return nil
	}))(t)
	for _, want := range strings.Fields(`offers price_points price_now quarantine sources projects jobs task_groups tasks plans placements refusals leases
		instances moves charges audit tokens logins sessions logs server_replicas quotas sweeps settings`) {
		if !tables[want] {
			t.Errorf("there is no table %s", want)
		}
	}
	// A CHECK without a name of its own gets one that ends in _check.
	unnamed := must(collect(t.Context(), db.Pool(), pgx.RowTo[string], `select c.conname from pg_constraint c join pg_namespace n on n.oid = c.connamespace
		where c.contype = 'c' and n.nspname = 'public' and c.conname like '%\_check'`))(t)
	if len(unnamed) > 0 {
		t.Errorf("checks without a name: %v", unnamed)
	}
	money := must(collect(t.Context(), db.Pool(), pgx.RowTo[string], `select table_name || '.' || column_name from information_schema.columns
		where table_schema = 'public' and column_name ~ '(price|cost|objective|bound|gain)$' and data_type <> 'bigint'`))(t)
	if len(money) > 0 {
		t.Errorf("money that is not bigint: %v", money)
	}
}

func TestPartitions(t *testing.T) {
	db, _ := fresh(t)
	parts := func() int {
		var n int
		if err := db.Pool().QueryRow(t.Context(), "select count(*) from pg_inherits where inhparent = 'price_points'::regclass").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := parts()
	old := offer(purser.Spot)
	old.ObservedAt, old.ValidFrom = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	must(db.SavePrices(t.Context(), PriceBatch{Source: "old", At: old.ObservedAt, Offers: []purser.Offer{old}}))(t)
	if got := parts(); got != before+3 {
		t.Errorf("%d partitions became %d; want February 2024 and the two months after it", before, got)
	}
	// A point in the default partition moves along when its month gets one.
	must(db.Pool().Exec(t.Context(), "insert into price_points values ('2020-05-05', 1, '2020-05-05', 1, 1)"))(t)
	must(db.Pool().Exec(t.Context(), "select ensure_partitions('2020-05-20 10:00+02')"))(t)
	var left, in int
	err := db.Pool().QueryRow(t.Context(), "select (select count(*) from price_points_default), (select count(*) from price_points_y2020m05)").Scan(&left, &in)
	if err != nil || left != 0 || in != 1 {
		t.Errorf("%d points in the default partition, %d in May 2020, %v", left, in, err)
	}
	must(db.Pool().Exec(t.Context(), "select ensure_partitions('0001-01-01'), ensure_partitions('9999-01-01')"))(t)
	if got := parts(); got != before+6 {
		t.Errorf("%d partitions; a date far off made some", got)
	}
	// Several at once make each month once.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := db.Pool().Exec(context.Background(), "select ensure_partitions('2022-03-01')"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := parts(); got != before+9 {
		t.Errorf("%d partitions, want %d", got, before+9)
	}
}
