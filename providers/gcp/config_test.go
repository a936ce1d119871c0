package gcp

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/auth"

	"purser"
)

type staticToken struct{}

func (staticToken) Token(context.Context) (*auth.Token, error) {
	return &auth.Token{Value: "token-1", Type: "Bearer", Expiry: time.Now().Add(time.Hour)}, nil
}

func TestCredentials(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	seen := ""
	w.answer = func(_ string, r *http.Request) (int, object) {
		seen = r.Header.Get("Authorization")
		return 0, nil
	}
	p := c.provider(t, w, func(c *Config) {
		c.Credentials = auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: staticToken{}})
	})
	if _, err := p.List(t.Context()); err != nil || seen != "Bearer token-1" {
		t.Errorf("List was asked with %q: %v", seen, err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	conf := c.config(w, "proj", nil)
	conf.HTTPClient = nil
	if _, err := New(conf); purser.KindOf(err) != purser.KindUnauthorized || !strings.Contains(err.Error(), "gcloud auth") {
		t.Errorf("New without credentials gave %v", err)
	}
}

// FuzzNames reads what others may have written: ids, names and types.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"purser-lease-1-0011223344", "zones/us-central1-a/instances/x", "n1-standard-8+T4x1", "v6e-8", "g2-standard-4", "purser--", "+x"} {
		f.Add(s)
	}
	p := &Provider{config: Config{Installation: installation}}
	f.Fuzz(func(t *testing.T, s string) {
		if lease, ok := leaseOf(installation, s); ok {
			if name, err := nameOf(installation, lease); err != nil || name != s {
				t.Errorf("%q has lease %q, and that has name %q", s, lease, name)
			}
		}
		if at, ok := placeOf(s); ok && at.id() != s {
			t.Errorf("%q is the place %+v", s, at)
		}
		if k, err := p.kindOf(s); err == nil && !k.slice && typeOf(k.name, k.card, k.cards) != s {
			t.Errorf("%q is %+v", s, k)
		}
	})
}
