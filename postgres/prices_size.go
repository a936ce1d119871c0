package postgres

import "context"

// PriceSize is how much of prices is kept.
type PriceSize struct {
	Points int64
	Bytes  int64 // of the points with their indexes
}

// PriceSize counts.
func (db *DB) PriceSize(ctx context.Context) (s PriceSize, err error) {
	err = db.pool.QueryRow(ctx, `select (select count(*) from price_points),
		(select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint from pg_inherits where inhparent = 'price_points'::regclass)`).Scan(&s.Points, &s.Bytes)
	return s, fail("postgres.PriceSize", err)
}

// Settle brings the statistics of prices up to date and marks what every transaction
// can see, as the database does by itself in quiet times.
func (db *DB) Settle(ctx context.Context) error {
	for _, table := range []string{"offers", "price_now", "price_points"} {
		if _, err := db.pool.Exec(ctx, "vacuum analyze "+table); err != nil {
			return fail("postgres.Settle", err)
		}
	}
	return nil
}
