//go:build unix

// Package pgtest gives tests a real PostgreSQL: one private server for each test binary,
// started when the first test asks for a database, and a fresh database for each test that asks.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		dsn := pgtest.New(t, pgtest.Template{Name: "schema", Migrate: migrate})
//
// The server runs without fsync. A database is cloned from a template that is migrated once
// for each test binary, and is never dropped: server and folder go together when Main returns. A test
// binary that crashes takes its server with it (Linux), and its folder is removed by a later one. Works as root and
// as any other user.
//
// A missing PostgreSQL fails the test with the sentence that says what to install; it is never skipped.
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"purser/postgres/embedded"
)

const (
	startTime   = 2 * time.Minute
	migrateTime = 2 * time.Minute
	cloneTime   = time.Minute
	stopTime    = 20 * time.Second
)

// Template is a database that is made once and cloned for each test.
type Template struct {
	// Name tells templates of one test binary apart, for instance by the schema's version.
	Name string
	// Migrate fills the template. It gets the DSN of an empty database and closes what it
	// opens; connections that it leaves are ended.
	Migrate func(ctx context.Context, dsn string) error
}

// cluster is the test binary's server, started when it is first needed.
type cluster struct {
	once   sync.Once
	server *embedded.Server
	folder string
	err    error

	mu        sync.Mutex
	templates map[string]*template
	databases atomic.Int64
}

type template struct {
	once     sync.Once
	database string
	err      error
}

// shared has to be a package variable: tests of one binary share nothing else.
var shared = &cluster{templates: map[string]*template{}}

// Main runs the tests, then stops the server and removes its folder. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		if code == 0 {
			code = 1
		}
	}
	return code
}

// DSN is the DSN of a fresh, empty database.
func DSN(t testing.TB) string {
	t.Helper()
	return New(t, Template{})
}

// New is the DSN of a fresh clone of tpl, which is made and migrated when it is first asked for.
func New(t testing.TB, tpl Template) string {
	t.Helper()
	dsn, err := shared.clone(tpl)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return dsn
}

// clone does not use a test's context: what it makes outlives the test that asks first.
func (c *cluster) clone(tpl Template) (string, error) {
	c.once.Do(func() { c.server, c.folder, c.err = start() })
	if c.err != nil {
		return "", c.err
	}
	from := "template1"
	if tpl.Migrate != nil {
		made := c.template(tpl)
		if made.err != nil {
			return "", made.err
		}
		from = made.database
	}
	name := fmt.Sprintf("t%d", c.databases.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), cloneTime)
	defer cancel()
	if err := c.admin(ctx, "create database "+name+" template "+from); err != nil {
		return "", err
	}
	return c.dsn(name), nil
}

func (c *cluster) template(tpl Template) *template {
	sum := sha256.Sum256([]byte(tpl.Name))
	name := "tpl_" + hex.EncodeToString(sum[:6])
	c.mu.Lock()
	t, ok := c.templates[name]
	if !ok {
		t = &template{database: name}
		c.templates[name] = t
	}
	c.mu.Unlock()
	t.once.Do(func() { t.err = c.makeTemplate(t.database, tpl) })
	return t
}

func (c *cluster) makeTemplate(database string, tpl Template) error {
	ctx, cancel := context.WithTimeout(context.Background(), migrateTime)
	defer cancel()
	if err := c.admin(ctx, "create database "+database); err != nil {
		return err
	}
	if err := tpl.Migrate(ctx, c.dsn(database)); err != nil {
		return fmt.Errorf("migrate template %q: %w", tpl.Name, err)
	}
	return c.admin(ctx,
		"alter database "+database+" with allow_connections false is_template true",
		"select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '"+database+"'",
	)
}

// admin runs statements, each on its own, outside of the test databases.
func (c *cluster) admin(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (c *cluster) dsn(database string) string {
	u, err := url.Parse(c.server.DSN())
	if err != nil {
		panic("pgtest: the server's DSN is not a URL: " + err.Error())
	}
	u.Path = "/" + database
	return u.String()
}

// close also keeps a server from being started afterwards.
func (c *cluster) close() error {
	c.once.Do(func() { c.err = fmt.Errorf("the tests are over") })
	if c.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := c.server.Stop(ctx); err != nil {
		return err
	}
	return os.RemoveAll(c.folder)
}
