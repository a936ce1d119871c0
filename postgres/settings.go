package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"purser"
)

// Installation is this database's own id, with which machines are tagged, and its
// secret, from which join tokens are derived. Both are made at the first call, by
// one of however many processes ask at once, and never change.
func (db *DB) Installation(ctx context.Context) (id string, secret []byte, err error) {
	const op = "postgres.Installation"
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails, see crypto/rand
	now := db.clock()
	err = db.write(ctx, op, func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `insert into settings (name, value, created_at) values ('installation_id', $1, $3), ('installation_secret', $2, $3)
			on conflict (name) do nothing`, []byte(strings.TrimPrefix(NewID("", now), "-")), fresh, now)
		if err != nil {
			return err
		}
		var name []byte
		err = t.QueryRow(ctx, `select i.value, s.value from settings i, settings s where i.name = 'installation_id' and s.name = 'installation_secret'`).
			Scan(&name, &secret)
		id = string(name)
		return err
	})
	return id, secret, err
}

func quotas(ctx context.Context, q querier) ([]purser.Quota, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (q purser.Quota, err error) {
		return q, row.Scan(fromJSON{&q})
	}, "select spec from quotas order by position")
}

// Quotas lists the quotas in the order in which they were set.
func (db *DB) Quotas(ctx context.Context) ([]purser.Quota, error) {
	out, err := quotas(ctx, db.pool)
	return out, fail("postgres.Quotas", err)
}

// SetQuotas replaces all quotas. Setting the same again is not a change. invalid: a
// quota is wrong, or two have one name.
func (db *DB) SetQuotas(ctx context.Context, actor string, list []purser.Quota) error {
	const op = "postgres.SetQuotas"
	names := map[string]bool{}
	for _, q := range list {
		if err := q.Check(); err != nil {
			return err
		}
		if names[q.Name] {
			return purser.Errorf(purser.KindInvalid, op, "two quotas are named %s", q.Name)
		}
		names[q.Name] = true
	}
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		if _, err := t.Exec(ctx, "lock table quotas in share row exclusive mode"); err != nil {
			return err
		}
		before, err := quotas(ctx, t)
		if err != nil || slices.Equal(before, list) {
			return err
		}
		if _, err := t.Exec(ctx, "delete from quotas"); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for i, q := range list {
			spec, err := toJSON(q)
			if err != nil {
				return err
			}
			batch.Queue("insert into quotas (name, position, spec) values ($1, $2, $3)", q.Name, i, spec)
		}
		if err := t.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		t.say(purser.Event{At: db.clock(), Actor: actor, Subject: "quotas", Name: "all", To: "set", Reason: fmt.Sprintf("%d quotas", len(list))})
		return nil
	})
}
