package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// Sources lists the feeds, by name. One whose server died while it was collected is not
// under way: nobody holds it.
func (db *DB) Sources(ctx context.Context) ([]Source, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (s Source, err error) {
		return s, row.Scan(&s.Name, optional{&s.LastAt}, optional{&s.FailedAt}, &s.LastError, &s.ErrorKind, &s.Failures, optional{&s.BeganAt}, optional{&s.EndedAt}, &s.Progress,
			&s.Alarm, &s.Regions, &s.Offers, &s.Quarantined)
	}, `select s.name, s.last_at, s.failed_at, s.last_error, s.error_kind, s.failures,
			case when exists (select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
				and classid = $1 and objid::bigint = hashtext(s.name)::bigint & 4294967295 and objsubid = 2) then s.began_at end, s.ended_at, s.progress, coalesce(c.alarm, ''), coalesce(c.regions, 0),
			coalesce(o.n, 0), coalesce(q.n, 0) from sources s
		left join (select source, count(*) filter (where region <> '') as regions,
				string_agg(case when region = '' then alarm else region || ': ' || alarm end, '; ' order by region) filter (where alarm <> '') as alarm
			from price_scopes group by source) c on c.source = s.name
		left join (select c.source, sum(n.n) as n from price_scopes c
				join (select scope_key, count(*) as n from price_now where gone_at is null group by scope_key) n using (scope_key) group by c.source) o on o.source = s.name
		left join (select source, count(*) as n from quarantine where released_at is null group by source) q on q.source = s.name
		order by s.name`, uint32(collectLocks))
	return out, fail("postgres.Sources", err)
}

// CollectedAt is when a region of a source was last saved; zero: never.
func (db *DB) CollectedAt(ctx context.Context, source, region string) (at time.Time, err error) {
	err = db.pool.QueryRow(ctx, "select max(last_at) from price_scopes where source = $1 and region = $2", source, region).Scan(optional{&at})
	return at, fail("postgres.CollectedAt", err)
}

// collectLocks is the first half of the keys of locks on sources.
const collectLocks = 0x66656564 // "feed"

// HoldSource lets one process at a time collect a source. ok is false when another
// has it. The hold is a connection's, so a server that dies lets go at once; release
// gives it back.
func (db *DB) HoldSource(ctx context.Context, source string) (release func(), ok bool, err error) {
	const op = "postgres.HoldSource"
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, false, fail(op, err)
	}
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1, hashtext($2))", int32(collectLocks), source).Scan(&ok); err != nil || !ok {
		conn.Release()
		return nil, false, fail(op, err)
	}
	return func() {
		// The time that ctx had may be over; what cannot unlock is closed, which unlocks.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.Exec(end, "select pg_advisory_unlock($1, hashtext($2))", int32(collectLocks), source); err != nil {
			_ = conn.Conn().Close(end)
		}
		conn.Release()
	}, true, nil
}

// CollectionBegins records that a source is being collected.
func (db *DB) CollectionBegins(ctx context.Context, source string, at time.Time) error {
	_, err := db.pool.Exec(ctx, `insert into sources (name, began_at) values ($1, $2) on conflict (name) do update set began_at = excluded.began_at, progress = ''`,
		clean(source, maxReason), utc(at))
	return fail("postgres.CollectionBegins", err)
}

// CollectionGoes says how far it has come.
func (db *DB) CollectionGoes(ctx context.Context, source, progress string) error {
	_, err := db.pool.Exec(ctx, "update sources set progress = $2 where name = $1", clean(source, maxReason), clean(progress, maxReason))
	return fail("postgres.CollectionGoes", err)
}

// CollectionEnds records how a collection went: cause is nil, or why it failed, wholly
// or in part. The prices of a source that fails stay and age.
func (db *DB) CollectionEnds(ctx context.Context, source, progress string, at time.Time, cause error) error {
	var failedAt *time.Time
	message, kind := "", ""
	if cause != nil {
		failedAt, message, kind = nullTime(at), cause.Error(), string(purser.KindOf(cause))
	}
	return db.write(ctx, "postgres.CollectionEnds", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `insert into sources (name, failed_at, last_error, error_kind, failures, progress, ended_at) values ($1, $2, $3, $4, ($2::timestamptz is not null)::integer, $5, $6)
			on conflict (name) do update set failed_at = excluded.failed_at, last_error = excluded.last_error, error_kind = excluded.error_kind,
				failures = case when excluded.failed_at is null then 0 else sources.failures + 1 end, began_at = null, ended_at = excluded.ended_at, progress = excluded.progress`,
			clean(source, maxReason), failedAt, clean(message, maxReason), kind, clean(progress, maxReason), utc(at))
		e := purser.Event{At: at, Actor: "collect", Subject: "price", Name: clean(source, maxReason), To: "collected", Reason: clean(progress, maxReason)}
		if cause != nil {
			e.To, e.Reason = "failed", clean(message, maxReason)
		}
		t.say(e)
		return err
	})
}

// Quarantine lists the prices that are not believed now, seen last first.
func (db *DB) Quarantine(ctx context.Context, f QuarantineFilter) ([]Held, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (h Held, err error) {
		return h, row.Scan(fromJSON{&h.Offer}, &h.Reason, &h.Detail, &h.Place, &h.Source, &h.Region, &h.FirstSeenAt, &h.LastSeenAt, optional{&h.KeptAt})
	}, `select offer, reason, detail, place, source, region, first_seen_at, last_seen_at, kept_at from quarantine
		where ($1 = '' or source = $1) and ($2 = '' or offer_id = $2) and ($3 = '' or reason = $3) and ($4 or kept_at is null) and released_at is null
		order by last_seen_at desc, source, offer_id, reason limit $5`, f.Source, string(f.Offer), string(f.Reason), f.Kept, limit(f.Limit))
	return out, fail("postgres.Quarantine", err)
}

// PriceRules lists what operators decided of offers and still holds at a time.
func (db *DB) PriceRules(ctx context.Context, at time.Time) ([]purser.PriceRule, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (r purser.PriceRule, err error) {
		return r, row.Scan(&r.Offer, &r.Reason, &r.Low, &r.High, &r.Until, &r.Actor, &r.Note, &r.MadeAt)
	}, "select offer_id, reason, low, high, until, actor, note, made_at from price_rules where until > $1 order by offer_id, reason", utc(at))
	return out, fail("postgres.PriceRules", err)
}

// SavePriceRule keeps a rule, in place of one of the same offer and reason.
func (db *DB) SavePriceRule(ctx context.Context, r purser.PriceRule) error {
	return db.write(ctx, "postgres.SavePriceRule", func(ctx context.Context, t *tx) error { return saveRule(ctx, t, r) })
}

// BlockOffer keeps a rule by which an offer is not believed, and takes the offer off at
// once: it is gone, and in quarantine. not_found: it cannot be had.
func (db *DB) BlockOffer(ctx context.Context, r purser.PriceRule) error {
	const op = "postgres.BlockOffer"
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		offers, err := db.offersFrom(ctx, t, OfferFilter{ID: r.Offer})
		if err != nil {
			return err
		}
		if len(offers) == 0 {
			return purser.Errorf(purser.KindNotFound, op, "there is no offer %s that can be had", r.Offer)
		}
		offer, err := toJSON(offers[0])
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(`insert into quarantine (source, region, offer_id, reason, offer, detail, place, first_seen_at, last_seen_at, kept_at)
			select s.source, s.region, $1, $2, $3, $4, $5, $6, $6, $6 from offers o join price_now n using (offer_key) join price_scopes s using (scope_key) where o.id = $1
			on conflict (source, offer_id, reason) do update set offer = excluded.offer, detail = excluded.detail, last_seen_at = excluded.last_seen_at, kept_at = excluded.kept_at, released_at = null`,
			string(r.Offer), string(r.Reason), offer, "an operator does not believe it: "+clean(r.Note, maxReason), "rule of "+clean(r.Actor, maxReason), utc(r.MadeAt))
		batch.Queue(`insert into price_points (offer_key, valid_from, unit_price, scope_key, observed_at)
			select n.offer_key, $2, null, n.scope_key, $2 from price_now n join offers o using (offer_key) where o.id = $1 and n.valid_from < $2 on conflict do nothing`, string(r.Offer), utc(r.MadeAt))
		batch.Queue("update price_now n set gone_at = $2 from offers o where o.offer_key = n.offer_key and o.id = $1", string(r.Offer), utc(r.MadeAt))
		if err := t.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		return saveRule(ctx, t, r)
	})
}

func saveRule(ctx context.Context, t *tx, r purser.PriceRule) error {
	_, err := t.Exec(ctx, `insert into price_rules (offer_id, reason, low, high, until, actor, note, made_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (offer_id, reason) do update set low = excluded.low, high = excluded.high, until = excluded.until, actor = excluded.actor,
			note = excluded.note, made_at = excluded.made_at`,
		clean(string(r.Offer), maxReason), clean(string(r.Reason), maxReason), int64(r.Low), int64(r.High), utc(r.Until), clean(r.Actor, maxReason), clean(r.Note, maxReason), utc(r.MadeAt))
	if err == nil {
		t.say(purser.Event{At: r.MadeAt, Actor: r.Actor, Subject: "price", Name: string(r.Offer), To: ruleState(r.Reason), Reason: r.Note})
	}
	return err
}

func ruleState(reason purser.QuarantineReason) string {
	if reason == purser.QuarantineByHand {
		return "blocked"
	}
	return "released"
}

// DropPriceRule ends a rule. not_found: there is none.
func (db *DB) DropPriceRule(ctx context.Context, actor string, offer purser.OfferID, reason purser.QuarantineReason) error {
	const op = "postgres.DropPriceRule"
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		tag, err := t.Exec(ctx, "delete from price_rules where offer_id = $1 and reason = $2", string(offer), string(reason))
		if err == nil && tag.RowsAffected() == 0 {
			return purser.Errorf(purser.KindNotFound, op, "there is no rule about %s of offer %s", reason, offer)
		}
		t.say(purser.Event{At: db.clock(), Actor: actor, Subject: "price", Name: string(offer), From: ruleState(reason), To: "unruled"})
		return err
	})
}

// KeepQuarantined marks a quarantined price as reviewed and left where it is.
// not_found: it is not in quarantine.
func (db *DB) KeepQuarantined(ctx context.Context, actor, source string, offer purser.OfferID, reason purser.QuarantineReason, note string) error {
	const op = "postgres.KeepQuarantined"
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		tag, err := t.Exec(ctx, "update quarantine set kept_at = $4 where source = $1 and offer_id = $2 and reason = $3 and released_at is null",
			source, string(offer), string(reason), db.clock())
		if err == nil && tag.RowsAffected() == 0 {
			return purser.Errorf(purser.KindNotFound, op, "no price of offer %s is in quarantine for %s", offer, reason)
		}
		t.say(purser.Event{At: db.clock(), Actor: actor, Subject: "price", Name: string(offer), To: "kept in quarantine", Reason: clean(note, maxReason)})
		return err
	})
}

// Signals lists what sources say beside prices. Empty arguments select all.
func (db *DB) Signals(ctx context.Context, provider, region, instanceType string) ([]purser.Signal, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (s purser.Signal, err error) {
		return s, row.Scan(&s.Provider, &s.Region, &s.Zone, &s.InstanceType, &s.Option, &s.Kind, &s.Low, &s.High, &s.Detail, &s.Source, &s.ObservedAt)
	}, `select g.provider, g.region, g.zone, g.instance_type, g.purchase_option, g.kind, g.low, g.high, g.detail, s.source, g.observed_at
		from price_signals g join price_scopes s using (scope_key)
		where ($1 = '' or g.provider = $1) and ($2 = '' or g.region = $2) and ($3 = '' or g.instance_type = $3)
		order by g.provider, g.region, g.zone, g.instance_type, g.purchase_option, g.kind, s.source`, provider, region, instanceType)
	return out, fail("postgres.Signals", err)
}
