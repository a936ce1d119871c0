package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"purser"
	"purser/api"
	"purser/postgres"
	"purser/server"
)

const (
	sessionLife = 12 * time.Hour
	loginLife   = 10 * time.Minute
)

// newSecret is 32 random bytes, with a prefix that secret scanners can know.
func newSecret(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// ensureToken sees to it that the CLI of this host can reach the server. A token
// is made when the database has no administrator's token that is valid, or when this
// host's own private database is there and its token's file is not: whoever holds the
// data may do so.
func (a *App) ensureToken(ctx context.Context) error {
	path := filepath.Join(a.config.DataDir, CredentialsFile)
	kept, err := ReadCredentials(path)
	if err == nil && kept.Token != "" {
		_, err := a.db.TokenByHash(ctx, hashOf(kept.Token), a.now())
		switch {
		case err == nil:
			kept.URL = a.url
			a.credentials = kept
			return writeCredentials(path, kept)
		case purser.KindOf(err) != purser.KindUnauthorized:
			return err // it may be valid all the same
		}
	}
	tokens, err := a.db.Tokens(ctx)
	if err != nil {
		return err
	}
	if a.private == nil && slices.ContainsFunc(tokens, a.administers) {
		a.log.Info("no token of this host", slog.String("hint", "give the CLI one with PURSER_TOKEN"))
		return nil
	}
	secret := newSecret("purser_")
	a.credentials, a.freshToken = Credentials{URL: a.url, Token: secret}, true
	// The file comes first: a token that nobody holds could never be used again.
	if err := writeCredentials(path, a.credentials); err != nil {
		return err
	}
	id := postgres.NewID("tok", a.now())
	return a.db.CreateToken(ctx, a.replica, postgres.Token{
		ID: id, Name: "local-" + strings.TrimPrefix(id, "tok-"), Role: string(api.RoleAdmin), Hash: hashOf(secret), CreatedAt: a.now(),
	})
}

// administers says whether a token may make others now.
func (a *App) administers(t postgres.Token) bool {
	return t.Role == string(api.RoleAdmin) && t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || a.now().Before(t.ExpiresAt))
}

type accessPart struct{ *App }

func identity(t postgres.Token, err error) (server.Identity, error) {
	if err != nil {
		if purser.KindOf(err) == purser.KindNotFound {
			err = purser.Errorf(purser.KindUnauthorized, "app.access", "the token is not known, or has ended")
		}
		return server.Identity{}, err
	}
	return server.Identity{Name: t.Name, Token: t.ID, Role: api.Role(t.Role)}, nil
}

func (p accessPart) Authenticate(ctx context.Context, bearer string) (server.Identity, error) {
	return identity(p.db.TokenByHash(ctx, hashOf(bearer), p.now()))
}

func (p accessPart) Session(ctx context.Context, cookie string) (server.Identity, error) {
	return identity(p.db.Session(ctx, hashOf(cookie), p.now()))
}

func (p accessPart) SignIn(ctx context.Context, code string) (string, time.Time, error) {
	t, err := p.db.UseLogin(ctx, hashOf(code), p.now())
	if err != nil {
		if k := purser.KindOf(err); k == purser.KindNotFound || k == purser.KindUnauthorized {
			err = &purser.Error{Kind: purser.KindUnauthorized, Op: "app.SignIn", Message: "the link was used already, or is too old", Hint: "make a new one with: purser token link"}
		}
		return "", time.Time{}, err
	}
	cookie, until := newSecret(""), p.now().Add(sessionLife)
	return cookie, until, p.db.SaveSession(ctx, hashOf(cookie), t.ID, until)
}

func (p accessPart) SignOut(ctx context.Context, cookie string) error {
	return p.db.EndSession(ctx, hashOf(cookie))
}

func (p accessPart) NewLogin(ctx context.Context, who server.Identity) (api.Login, error) {
	code, till := newSecret(""), p.now().Add(loginLife)
	if err := p.db.CreateLogin(ctx, hashOf(code), who.Token, till); err != nil {
		return api.Login{}, err
	}
	return api.Login{Code: code, URL: p.url + "/#signin=" + code, Till: till}, nil
}

type tokensPart struct{ *App }

func (p tokensPart) List(ctx context.Context) ([]api.Token, error) {
	tokens, err := p.db.Tokens(ctx)
	out := []api.Token{}
	for _, t := range tokens {
		out = append(out, tokenOf(t))
	}
	return out, err
}

func tokenOf(t postgres.Token) api.Token {
	return api.Token{
		ID: t.ID, Name: t.Name, Role: api.Role(t.Role), CreatedAt: t.CreatedAt,
		ExpiresAt: optional(t.ExpiresAt), RevokedAt: optional(t.RevokedAt), UsedAt: optional(t.UsedAt),
	}
}

// optional is nil for a time that is not known.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (p tokensPart) Create(ctx context.Context, actor string, n api.NewToken) (api.CreatedToken, error) {
	now := p.now()
	if strings.ContainsFunc(n.Name, unicode.IsControl) || strings.TrimSpace(n.Name) == "" {
		return api.CreatedToken{}, purser.Errorf(purser.KindInvalid, "app.CreateToken", "a token's name has to be readable text")
	}
	t := postgres.Token{ID: postgres.NewID("tok", now), Name: n.Name, Role: string(n.Role), CreatedAt: now}
	if n.ValidFor != "" {
		d, err := purser.ParseDuration(n.ValidFor)
		if err != nil {
			return api.CreatedToken{}, err
		}
		if d < time.Minute {
			return api.CreatedToken{}, purser.Errorf(purser.KindInvalid, "app.CreateToken", "a token is valid for a minute at least, not for %s", d)
		}
		t.ExpiresAt = now.Add(d)
	}
	secret := newSecret("purser_")
	t.Hash = hashOf(secret)
	if err := p.db.CreateToken(ctx, actor, t); err != nil {
		return api.CreatedToken{}, err
	}
	return api.CreatedToken{Token: tokenOf(t), Secret: secret}, nil
}

func (p tokensPart) Revoke(ctx context.Context, actor, id string) error {
	return p.db.RevokeToken(ctx, actor, id)
}
