package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"purser/internal/pgtest"
	"purser/migrations"
)

// Prices that were stored before there was a market are all there after it: the
// price in force, the history, what was gone, the quarantine and the alarm.
func TestMarketMigrationKeepsPrices(t *testing.T) {
	dsn := pgtest.DSN(t)
	cfg := must(pgx.ParseConfig(dsn))(t)
	sqlDB := stdlib.OpenDB(*cfg)
	defer closeQuietly(sqlDB)
	provider := must(goose.NewProvider(goose.DialectPostgres, sqlDB, migrations.FS))(t)
	must(provider.UpTo(t.Context(), 5))(t)
	old := []string{
		`insert into offers (id, provider, region, zone, instance_type, purchase_option, milli_cpu, memory_mib, first_seen_at, gone_at)
			values ('aws/r/-/a/spot', 'aws', 'r', '', 'a', 'spot', 1000, 1024, '2026-01-01', null), ('aws/r/-/b/spot', 'aws', 'r', '', 'b', 'spot', 1000, 1024, '2026-01-01', '2026-03-05')`,
		"select ensure_partitions('2026-01-15')",
		`insert into price_points values (1, '2026-01-10', 5000000000, 'feed', '2026-01-11'), (1, '2026-02-10', 6000000000, 'feed', '2026-02-11'),
			(2, '2026-02-20', 7000000000, 'feed', '2026-02-20'), (2, '2019-01-01', 8000000000, 'feed', '2019-01-01')`,
		`insert into price_now values (1, 6000000000, '2026-02-10', '2026-03-01', 'feed'), (2, 7000000000, '2026-02-20', '2026-03-01', 'feed')`,
		`insert into sources (name, last_at, alarm) values ('feed', '2026-03-01', 'many are missing')`,
		`insert into quarantine (source, offer_id, reason, offer, detail, place, first_seen_at, last_seen_at) values ('feed', 'x', 'outlier', '{"provider":"aws"}', 'd', 'p', '2026-03-01', '2026-03-01')`,
	}
	for _, sql := range old {
		if _, err := sqlDB.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	must(Migrate(t.Context(), dsn))(t)
	db := must(Open(t.Context(), dsn, Options{}))(t)
	defer db.Close()
	now := must(db.Offers(t.Context(), OfferFilter{}))(t)
	if len(now) != 1 || now[0].InstanceType != "a" || now[0].UnitPrice != 6e9 || now[0].Source != "feed" {
		t.Errorf("now %+v", now)
	}
	march := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if got := must(db.Offers(t.Context(), OfferFilter{AsOf: march}))(t); len(got) != 2 {
		t.Errorf("as of March: %+v", got)
	}
	if got := must(db.Offers(t.Context(), OfferFilter{AsOf: march.AddDate(0, 0, 10)}))(t); len(got) != 1 {
		t.Errorf("after one was gone: %+v", got)
	}
	points := must(db.PriceHistory(t.Context(), "aws/r/-/b/spot", time.Time{}, time.Time{}))(t)
	if len(points) != 3 || points[0].UnitPrice != 8e9 || points[1].UnitPrice != 7e9 || !points[2].Gone {
		t.Errorf("history %+v", points)
	}
	sources := must(db.Sources(t.Context()))(t)
	if len(sources) != 1 || sources[0].Alarm != "many are missing" || sources[0].Quarantined != 1 || sources[0].Offers != 1 {
		t.Errorf("sources %+v", sources)
	}
	// The next batch goes on from there.
	o := now[0]
	o.UnitPrice, o.ObservedAt, o.ValidFrom = 65e8, march.AddDate(0, 0, 20), time.Time{}
	now[0] = o
	if r := must(db.SavePrices(t.Context(), PriceBatch{Source: "feed", At: o.ObservedAt, Offers: now, Full: true}))(t); r.Changed != 1 || r.New != 0 || r.Gone != 0 {
		t.Errorf("%+v", r)
	}
}
