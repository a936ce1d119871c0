//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"purser"
)

// Binaries is one installation of PostgreSQL's programs that the server's user can run.
type Binaries struct {
	Dir     string // holds initdb and postgres
	Major   int    // e.g. 18
	Version string // as "postgres --version" says it, e.g. "18.4"
	Origin  string // "configured", "host" or "npm"
}

// candidate is a place that may hold programs.
type candidate struct {
	dir, origin string
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

const probeTimeout = 20 * time.Second

// FindBinaries finds the programs that fit cfg: those in cfg.BinDir, else the host's, else the
// npm package's, and among them the first whose major version is that of the data in
// cfg.DataDir, where there is any. It writes nothing into the data folder, but it may make the
// npm package's library links and, as root, a copy in the cache folder. The error is
// unavailable when nothing fits, and says what was found instead.
func FindBinaries(cfg Config) (Binaries, error) {
	cfg, err := cfg.normalized()
	if err != nil {
		return Binaries{}, err
	}
	id, err := identityFor(cfg)
	if err != nil {
		return Binaries{}, err
	}
	content, err := inspect(cfg.DataDir)
	if err != nil {
		return Binaries{}, err
	}
	return find(context.Background(), cfg, id, content.major)
}

// find is FindBinaries for data of a major version, 0 for none yet.
func find(ctx context.Context, cfg Config, id identity, major int) (Binaries, error) {
	const op = "embedded.FindBinaries"
	var seen []string
	var causes []error
	for _, c := range candidates(ctx, cfg) {
		bins, err := examine(ctx, cfg, id, c)
		switch {
		case errors.Is(err, fs.ErrNotExist) && c.origin != "configured":
			continue
		case err != nil:
			seen = append(seen, "unusable programs in "+c.dir)
			causes = append(causes, fmt.Errorf("%s: %w", c.dir, err))
		case bins.Major < MinMajor || major != 0 && bins.Major != major:
			seen = append(seen, fmt.Sprintf("version %s in %s", bins.Version, bins.Dir))
		default:
			return bins, nil
		}
	}
	if ctx.Err() != nil {
		return Binaries{}, fail(purser.KindUnavailable, op, context.Cause(ctx), "the search for PostgreSQL was interrupted")
	}
	found := "nothing"
	if len(seen) > 0 {
		found = strings.Join(seen, ", ")
	}
	if major != 0 {
		e := fail(purser.KindUnavailable, op, errors.Join(causes...),
			"the data in %s was written by PostgreSQL %d and only programs of that version can read it; found: %s", cfg.DataDir, major, found)
		return Binaries{}, hint(e, "install PostgreSQL %d, for instance with: apt-get install postgresql-%d; or name the folder that holds its programs; the data is untouched", major, major)
	}
	e := fail(purser.KindUnavailable, op, errors.Join(causes...), "no PostgreSQL of version %d or later was found for the private server; found: %s", MinMajor, found)
	return Binaries{}, hint(e, "install it with: apt-get install postgresql, or: npm ci; or set PURSER_DATABASE_URL to a server of your own")
}

// candidates lists the places in the order they are tried.
func candidates(ctx context.Context, cfg Config) []candidate {
	if cfg.BinDir != "" {
		return []candidate{{cfg.BinDir, "configured"}}
	}
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                   // PGDG on Fedora, RHEL
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // only a malformed pattern fails, and these are constants
		}
		slices.SortFunc(matches, func(a, b string) int { return pathNumber(b) - pathNumber(a) })
		dirs = append(dirs, matches...)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(resolve(path)))
	}
	var list []candidate
	for _, dir := range dirs {
		if c := (candidate{dir, "host"}); dir != "" && !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	if pkg := npmPackage(); cfg.NodeModules != "" && pkg != "" {
		list = append(list, candidate{filepath.Join(cfg.NodeModules, filepath.FromSlash(pkg), "native", "bin"), "npm"})
	}
	return list
}

var digits = regexp.MustCompile(`\d+`)

// pathNumber is the version in a path such as /usr/lib/postgresql/15/bin, 0 without one.
func pathNumber(path string) int {
	all := digits.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(all[len(all)-1])
	if err != nil {
		return 0
	}
	return n
}

// npmPackage names the package with programs for this platform; "" when there is none.
func npmPackage() string {
	arch, ok := map[string]string{"amd64": "x64", "arm64": "arm64", "arm": "arm", "386": "ia32", "ppc64": "ppc64"}[runtime.GOARCH]
	if !ok || runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		return ""
	}
	return "@embedded-postgres/" + runtime.GOOS + "-" + arch
}

// examine makes a candidate usable for the identity and asks it for its version. The
// error is fs.ErrNotExist when the place does not hold the programs.
func examine(ctx context.Context, cfg Config, id identity, c candidate) (Binaries, error) {
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return Binaries{}, err
	}
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return Binaries{}, err
		}
	}
	root := filepath.Dir(dir)
	linkErr := makeLinks(root)
	if linkErr != nil && !errors.Is(linkErr, fs.ErrPermission) && !errors.Is(linkErr, syscall.EROFS) {
		return Binaries{}, linkErr
	}
	bins, err := version(ctx, id, dir)
	if linkErr == nil && err == nil {
		bins.Origin = c.origin
		return bins, nil
	}
	if linkErr == nil && !errors.Is(err, syscall.EACCES) {
		return Binaries{}, err
	}
	// The server's user cannot run them here, or we cannot complete them here.
	copied, err := copyTree(cfg, id, root)
	if err != nil {
		return Binaries{}, err
	}
	if err := makeLinks(copied); err != nil {
		return Binaries{}, err
	}
	bins, err = version(ctx, id, filepath.Join(copied, filepath.Base(dir)))
	bins.Origin = c.origin
	return bins, err
}

// version runs both programs as the identity.
func version(ctx context.Context, id identity, dir string) (Binaries, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	bins := Binaries{Dir: dir}
	for _, program := range []string{"initdb", "postgres"} {
		out, err := output(id.command(ctx, "/", filepath.Join(dir, program), "--version"))
		if err != nil {
			return bins, fmt.Errorf("%s --version: %w: %s", program, err, strings.TrimSpace(out))
		}
		m := versionText.FindStringSubmatch(out)
		if m == nil {
			return bins, fmt.Errorf("%s --version says %q", program, strings.TrimSpace(out))
		}
		major, err := strconv.Atoi(m[2])
		if err != nil {
			return bins, fmt.Errorf("%s --version says %q: %w", program, strings.TrimSpace(out), err)
		}
		if bins.Major != 0 && bins.Major != major {
			return bins, fmt.Errorf("initdb is of version %d and postgres of version %d", bins.Major, major)
		}
		bins.Major, bins.Version = major, m[1]
	}
	return bins, nil
}
