//go:build unix

package embedded

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"purser"
)

func TestOtherMajorIsRefused(t *testing.T) {
	for _, k := range kinds(t) {
		for _, bin := range []string{k.Bins.Dir, ""} { // the given programs, and whatever can be found
			data := filepath.Join(place(t), "data")
			if err := os.CopyFS(data, os.DirFS("testdata/old")); err != nil {
				t.Fatal(err)
			}
			cfg := Config{DataDir: data, BinDir: bin, NodeModules: filepath.Join("..", "..", "node_modules")}
			before := fingerprint(t, data)
			_, err := Start(t.Context(), cfg)
			if purser.KindOf(err) != purser.KindUnavailable {
				t.Fatalf("the start says %v", err)
			}
			for _, want := range []string{"PostgreSQL 9", data, k.Bins.Version, "untouched"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if after := fingerprint(t, data); after != before {
				t.Errorf("the data folder changed from\n%s\nto\n%s", before, after)
			}
		}
	}
}

// Data decides which programs are taken, not the order in which they are found.
func TestProgramsFitTheData(t *testing.T) {
	t.Parallel()
	list := kinds(t)
	if len(list) < 2 || list[0].Bins.Major == list[1].Bins.Major {
		t.Skip("only one major version of PostgreSQL is here")
	}
	nodeModules := filepath.Join("..", "..", "node_modules")
	for _, k := range list {
		cfg := seeded(t, k)
		cfg.BinDir, cfg.NodeModules = "", nodeModules
		got, err := FindBinaries(cfg)
		if err != nil || got.Major != k.Bins.Major {
			t.Errorf("for data of version %d: %+v, %v", k.Bins.Major, got, err)
		}
		if s := mustStart(t, cfg); s.Info().Major != k.Bins.Major {
			t.Errorf("data of version %d is served by %d", k.Bins.Major, s.Info().Major)
		}
	}
	for i, k := range list { // the wrong programs by name
		cfg := seeded(t, k)
		cfg.BinDir = list[1-i].Bins.Dir
		before := fingerprint(t, cfg.DataDir)
		if _, err := Start(t.Context(), cfg); purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("version %d on data of %d: %v", list[1-i].Bins.Major, k.Bins.Major, err)
		}
		if fingerprint(t, cfg.DataDir) != before {
			t.Error("the data folder changed")
		}
	}
}

// packageCopy copies the npm package's files, without the links that npm cannot pack.
func packageCopy(t *testing.T, to string) {
	t.Helper()
	from := filepath.Dir(npmBin(t))
	if !exists(from) {
		t.Skip("the npm package is not here; npm ci in the repository brings it")
	}
	for _, part := range []string{"bin", "lib", "share", "pg-symlinks.json"} {
		if err := copyFiles(filepath.Join(from, part), filepath.Join(to, part)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range readLinks(t, to) {
		if err := os.Remove(filepath.Join(to, strings.TrimPrefix(l.Target, "native/"))); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func readLinks(t *testing.T, root string) []link {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "pg-symlinks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var links []link
	if err := json.Unmarshal(data, &links); err != nil {
		t.Fatal(err)
	}
	if len(links) == 0 {
		t.Fatal("the package lists no links")
	}
	return links
}

func TestLinksOfTheNpmPackage(t *testing.T) {
	t.Parallel()
	root := filepath.Join(place(t), "native")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	packageCopy(t, root)
	links := readLinks(t, root)
	wrong := filepath.Join(root, strings.TrimPrefix(links[0].Target, "native/"))
	if err := os.Symlink("nowhere", wrong); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := makeLinks(root); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, l := range links {
		if _, err := os.Stat(filepath.Join(root, strings.TrimPrefix(l.Target, "native/"))); err != nil {
			t.Errorf("the link %s leads nowhere: %v", l.Target, err)
		}
	}
	before := fingerprint(t, root)
	if err := makeLinks(root); err != nil {
		t.Fatal(err)
	}
	if fingerprint(t, root) != before {
		t.Error("making the links again changed something")
	}
	if bins, err := FindBinaries(Config{DataDir: filepath.Join(place(t), "data"), BinDir: filepath.Join(root, "bin")}); err != nil || bins.Major < 18 {
		t.Errorf("the package with its links gives %+v, %v", bins, err)
	}
}

func TestLinksStayInTheirFolder(t *testing.T) {
	for _, text := range []string{
		`[{"source":"native/lib/a","target":"native/../../b"}]`,
		`[{"source":"native/lib/../../etc/passwd","target":"native/lib/b"}]`,
		`[{"source":"/etc/passwd","target":"/etc/b"}]`,
		`{"not":"a list"}`,
	} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "pg-symlinks.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		before := fingerprint(t, filepath.Dir(root))
		if err := makeLinks(root); err == nil {
			t.Errorf("%s was accepted", text)
		}
		if fingerprint(t, filepath.Dir(root)) != before {
			t.Errorf("%s changed something", text)
		}
	}
}

// Programs below a folder that only root may enter are copied, once.
func TestProgramsUnderAPrivateFolder(t *testing.T) {
	needRoot(t)
	t.Parallel()
	private := place(t)
	packageCopy(t, mkdir(t, private, "native"))
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := Config{DataDir: filepath.Join(place(t), "data"), BinDir: filepath.Join(private, "native", "bin"), CacheDir: filepath.Join(place(t), "cache", "of mine"), Logger: testLogger(t)}
	s := mustStart(t, cfg)
	if !strings.HasPrefix(s.Info().Dir, cfg.CacheDir) || ask(t, s.DSN(), "select 'well'") != "well" {
		t.Errorf("the programs run from %s", s.Info().Dir)
	}
	before := fingerprint(t, cfg.CacheDir)
	if again, err := FindBinaries(cfg); err != nil || again != s.Info().Binaries {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if fingerprint(t, cfg.CacheDir) != before {
		t.Error("a second time the copy was made anew")
	}
	// A copy that somebody else could have made is not run.
	if err := os.Chown(filepath.Dir(s.Info().Dir), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := FindBinaries(cfg); err == nil || !strings.Contains(err.Error(), "not made by this user") {
		t.Errorf("a copy of another user: %v", err)
	}
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDataFolderThatTheServerCannotReach(t *testing.T) {
	needRoot(t)
	k := kinds(t)[0]
	private := place(t)
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{DataDir: filepath.Join(private, "sub", "data"), BinDir: k.Bins.Dir})
	if purser.KindOf(err) != purser.KindForbidden || !strings.Contains(err.Error(), "may not enter "+private+" ") || !strings.Contains(err.Error(), "chmod o+x") {
		t.Errorf("the start says %v", err)
	}
	if exists(filepath.Join(private, "sub", "data")) {
		t.Error("a data folder was made")
	}
}

// The user is the configured one, else the owner of the data.
func TestUserOfTheServer(t *testing.T) {
	needRoot(t)
	k := kinds(t)[0]
	t.Parallel()
	cfg := seeded(t, k)
	cfg.User = "54321"
	s := mustStart(t, cfg)
	if s.Info().UID != 54321 || ownerOf(t, filepath.Join(cfg.DataDir, "base")) != 54321 {
		t.Errorf("the server runs as %d, the data belongs to %d", s.Info().UID, ownerOf(t, filepath.Join(cfg.DataDir, "base")))
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.User = ""
	if s = mustStart(t, cfg); s.Info().UID != 54321 {
		t.Errorf("without a configured user the server runs as %d", s.Info().UID)
	}
	cfg.User = "root"
	if _, err := identityFor(cfg); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("root is refused with %v", err)
	}
}

// TestAsAnotherUser runs the tests that matter once more without root's rights.
func TestAsAnotherUser(t *testing.T) {
	needRoot(t)
	t.Parallel()
	list, err := json.Marshal(kinds(t))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := place(t)
	binary := filepath.Join(dir, "embedded.test") // go test builds below a folder of root's own
	if err := copyFile(self, binary); err != nil {
		t.Fatal(err)
	}
	temp := mkdir(t, dir, "temp")
	if err := os.Chown(temp, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	packageCopy(t, mkdir(t, dir, "native"))
	if err := os.Chmod(mkdir(t, dir, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.v", "-test.run=^(TestStartAndStop|TestLauncherKilled|TestSecondLauncherIsRefused|TestAllProcessesKilled|TestWithout.*)$")
	cmd.Dir = temp
	cmd.Env = []string{"TMPDIR=" + temp, kindsVariable + "=" + string(list), "PATH=" + os.Getenv("PATH"), "PURSER_EMBEDDED_UNLINKED=" + filepath.Join(dir, "native", "bin")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("as uid %d: %v", nobody, err)
	}
	for _, test := range []string{"TestStartAndStop/npm", "TestLauncherKilled/npm", "TestSecondLauncherIsRefused", "TestWithoutWriteAccessToThePackage", "TestWithoutRightsToTheDataFolder"} {
		if !strings.Contains(string(out), "--- PASS: "+test) {
			t.Errorf("%s did not run", test)
		}
	}
}

// A package that belongs to somebody else and whose links npm did not make is copied.
func TestWithoutWriteAccessToThePackage(t *testing.T) {
	bin := os.Getenv("PURSER_EMBEDDED_UNLINKED")
	if bin == "" || os.Geteuid() == 0 {
		t.Skip("TestAsAnotherUser runs this one")
	}
	cfg := Config{DataDir: filepath.Join(place(t), "data"), BinDir: bin, CacheDir: filepath.Join(place(t), "cache"), Logger: testLogger(t)}
	if s := mustStart(t, cfg); !strings.HasPrefix(s.Info().Dir, cfg.CacheDir) {
		t.Errorf("the programs run from %s", s.Info().Dir)
	}
}

func TestWithoutRightsToTheDataFolder(t *testing.T) {
	bin := os.Getenv("PURSER_EMBEDDED_UNLINKED")
	if bin == "" || os.Geteuid() == 0 {
		t.Skip("TestAsAnotherUser runs this one")
	}
	private := filepath.Join(bin, "..", "..", "private")
	for _, data := range []string{private, filepath.Join(private, "data"), filepath.Join(filepath.Dir(private), "new"), filepath.Join(filepath.Dir(private), "sub", "new")} {
		if _, err := Start(t.Context(), Config{DataDir: data, BinDir: bin}); purser.KindOf(err) != purser.KindForbidden {
			t.Errorf("a data folder at %s gives %v", data, err)
		}
	}
}

// What the user names wrongly is refused before anything is made.
func TestWithoutRootNoOtherUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("TestAsAnotherUser runs this one")
	}
	data := filepath.Join(place(t), "data")
	_, err := Start(t.Context(), Config{DataDir: data, User: "root"})
	if purser.KindOf(err) != purser.KindInvalid || exists(data) {
		t.Errorf("the start says %v", err)
	}
}
