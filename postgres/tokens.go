package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

const tokenColumns = "t.id, t.name, t.role, t.hash, t.created_at, t.expires_at, t.revoked_at, t.used_at"

func scanToken(row pgx.CollectableRow) (t Token, err error) {
	return t, row.Scan(&t.ID, &t.Name, &t.Role, &t.Hash, &t.CreatedAt, optional{&t.ExpiresAt}, optional{&t.RevokedAt}, optional{&t.UsedAt})
}

// CreateToken stores a token. conflict: a token of that name is in use, or the id or
// the hash is known.
func (db *DB) CreateToken(ctx context.Context, actor string, k Token) error {
	const op = "postgres.CreateToken"
	if k.ID == "" || k.Name == "" || k.Role == "" || len(k.Hash) != 32 {
		return purser.Errorf(purser.KindInvalid, op, "a token needs an id, a name, a role and the SHA-256 hash of its secret")
	}
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		now := db.clock()
		if !k.CreatedAt.IsZero() {
			now = utc(k.CreatedAt)
		}
		_, err := t.Exec(ctx, "insert into tokens (id, name, role, hash, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)",
			k.ID, k.Name, k.Role, k.Hash, now, nullTime(k.ExpiresAt))
		if err != nil {
			if kind, _ := classify(err); kind == purser.KindConflict {
				return &purser.Error{
					Kind: kind, Op: op, Message: fmt.Sprintf("a token named %q exists", k.Name),
					Hint: "revoke it first, or choose another name", Cause: err,
				}
			}
			return err
		}
		t.say(purser.Event{At: now, Actor: actor, Subject: "token", Name: k.ID, To: "valid", Reason: k.Role + " " + k.Name})
		return nil
	})
}

// TokenByHash finds the token of a bearer and notes its use, once a minute.
// unauthorized: unknown, expired or revoked.
func (db *DB) TokenByHash(ctx context.Context, hash []byte, at time.Time) (Token, error) {
	const op = "postgres.TokenByHash"
	tokens, err := collect(ctx, db.pool, scanToken, "select "+tokenColumns+" from tokens t where t.hash = $1", hash)
	if err != nil {
		return Token{}, fail(op, err)
	}
	if len(tokens) == 0 {
		return Token{}, purser.Errorf(purser.KindUnauthorized, op, "the token is not known")
	}
	k := tokens[0]
	if err := k.valid(op, at); err != nil {
		return Token{}, err
	}
	if at.Sub(k.UsedAt) >= time.Minute {
		k.UsedAt = utc(at)
		_, err = db.pool.Exec(ctx, "update tokens set used_at = $2 where id = $1", k.ID, k.UsedAt)
	}
	return k, fail(op, err)
}

func (k Token) valid(op string, at time.Time) error {
	if !k.RevokedAt.IsZero() {
		return purser.Errorf(purser.KindUnauthorized, op, "the token %q was revoked", k.Name)
	}
	if !k.ExpiresAt.IsZero() && !at.Before(k.ExpiresAt) {
		return purser.Errorf(purser.KindUnauthorized, op, "the token %q has expired", k.Name)
	}
	return nil
}

// Tokens lists all tokens, newest first, the ended ones too.
func (db *DB) Tokens(ctx context.Context) ([]Token, error) {
	tokens, err := collect(ctx, db.pool, scanToken, "select "+tokenColumns+" from tokens t order by t.created_at desc, t.id")
	return tokens, fail("postgres.Tokens", err)
}

// RevokeToken ends a token with its sessions and unused sign-in codes. One that has
// ended stays as it is.
func (db *DB) RevokeToken(ctx context.Context, actor, id string) error {
	const op = "postgres.RevokeToken"
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		now := db.clock()
		var revoked time.Time
		if err := t.QueryRow(ctx, "select revoked_at from tokens where id = $1 for update", id).Scan(optional{&revoked}); err != nil {
			return orNotFound(op, "token", id, err)
		}
		if !revoked.IsZero() {
			return nil
		}
		batch := &pgx.Batch{}
		batch.Queue("update tokens set revoked_at = $2 where id = $1", id, now)
		batch.Queue("delete from sessions where token = $1", id)
		batch.Queue("delete from logins where token = $1", id)
		t.say(purser.Event{At: now, Actor: actor, Subject: "token", Name: id, From: "valid", To: "revoked"})
		return t.SendBatch(ctx, batch).Close()
	})
}

// CreateLogin keeps the hash of a one-time code that signs a browser in as a token,
// and forgets codes and sessions that have expired.
func (db *DB) CreateLogin(ctx context.Context, hash []byte, token string, expires time.Time) error {
	return db.write(ctx, "postgres.CreateLogin", func(ctx context.Context, t *tx) error {
		now := db.clock()
		batch := &pgx.Batch{}
		batch.Queue("delete from logins where expires_at < $1", now)
		batch.Queue("delete from sessions where expires_at < $1", now)
		batch.Queue("insert into logins (hash, token, created_at, expires_at) values ($1, $2, $3, $4)", hash, token, now, utc(expires))
		return t.SendBatch(ctx, batch).Close()
	})
}

// UseLogin exchanges a one-time code for the token it signs in as. unauthorized: the
// code is unknown, expired or was used, or its token is no longer valid.
func (db *DB) UseLogin(ctx context.Context, hash []byte, at time.Time) (Token, error) {
	const op = "postgres.UseLogin"
	var k Token
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		tokens, err := collect(ctx, t, scanToken, `with used as (update logins set used_at = $2 where hash = $1 and used_at is null and expires_at > $2 returning token)
			select `+tokenColumns+" from tokens t join used on used.token = t.id", hash, utc(at))
		if err != nil {
			return err
		}
		if len(tokens) == 0 {
			return purser.Errorf(purser.KindUnauthorized, op, "the sign-in link was used or has expired")
		}
		k = tokens[0]
		return k.valid(op, at)
	})
	if err != nil {
		return Token{}, err
	}
	return k, nil
}

// SaveSession keeps the hash of a browser's cookie.
func (db *DB) SaveSession(ctx context.Context, hash []byte, token string, expires time.Time) error {
	_, err := db.pool.Exec(ctx, "insert into sessions (hash, token, created_at, expires_at) values ($1, $2, $3, $4)", hash, token, db.clock(), utc(expires))
	return fail("postgres.SaveSession", err)
}

// Session finds the token that a browser is signed in as. unauthorized: the session
// is unknown or has expired, or its token is no longer valid.
func (db *DB) Session(ctx context.Context, hash []byte, at time.Time) (Token, error) {
	const op = "postgres.Session"
	tokens, err := collect(ctx, db.pool, scanToken, "select "+tokenColumns+" from tokens t join sessions s on s.token = t.id where s.hash = $1 and s.expires_at > $2",
		hash, utc(at))
	if err != nil {
		return Token{}, fail(op, err)
	}
	if len(tokens) == 0 {
		return Token{}, purser.Errorf(purser.KindUnauthorized, op, "the session has ended; sign in again")
	}
	if err := tokens[0].valid(op, at); err != nil {
		return Token{}, err
	}
	return tokens[0], nil
}

// EndSession signs a browser out; an unknown session is no error.
func (db *DB) EndSession(ctx context.Context, hash []byte) error {
	_, err := db.pool.Exec(ctx, "delete from sessions where hash = $1", hash)
	return fail("postgres.EndSession", err)
}
