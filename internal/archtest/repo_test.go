package archtest

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the layer rules in .golangci.yml anew")

// top is the repository, seen from this package's folder, where tests run.
const top = "../.."

func report(t *testing.T, vs []Violation) {
	t.Helper()
	for _, v := range vs {
		t.Error(v)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func thePage(t *testing.T) *Page {
	t.Helper()
	page, err := ParsePage(readFile(t, "docs/ARCHITECTURE.md"))
	if err != nil {
		t.Fatalf("docs/ARCHITECTURE.md: %v", err)
	}
	return page
}

func theTree(t *testing.T) *Tree {
	t.Helper()
	tree, err := Load(os.DirFS(top))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Packages) < 2 {
		t.Fatalf("found %d packages; the walk has lost its way", len(tree.Packages))
	}
	return tree
}

// theTexts reads what git holds, or would hold after `git add`.
func theTexts(t *testing.T) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = top
	listed, err := cmd.Output()
	if err != nil {
		t.Skipf("git cannot list the files here (%v), as in an unpacked archive; what is committed was checked before it was packed", err)
	}
	texts, err := Texts(os.DirFS(top), strings.Split(strings.TrimRight(string(listed), "\x00"), "\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if texts["go.mod"] == "" || texts["package-lock.json"] == "" {
		t.Fatal("go.mod and package-lock.json were not among the files; the listing has lost its way")
	}
	return texts
}

func TestImports(t *testing.T)         { report(t, CheckImports(theTree(t), thePage(t))) }
func TestPackageComments(t *testing.T) { report(t, CheckPackageComments(theTree(t))) }
func TestInits(t *testing.T)           { report(t, CheckInits(theTree(t))) }
func TestPure(t *testing.T)            { report(t, CheckPure(theTree(t), thePage(t))) }
func TestLengths(t *testing.T)         { report(t, CheckLengths(theTexts(t))) }
func TestLocks(t *testing.T)           { report(t, CheckLocks(theTexts(t))) }
func TestLinks(t *testing.T)           { report(t, CheckLinks(os.DirFS(top), theTexts(t))) }

func TestMachinePlaces(t *testing.T) {
	var folders []string
	clone, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	home, _ := os.UserHomeDir()
	for _, folder := range []string{clone, home} {
		// A folder such as / or /root is named in good faith; a deeper one is not.
		if strings.Count(folder, "/") > 1 {
			folders = append(folders, folder)
		}
	}
	report(t, CheckPlaces(theTexts(t), folders))
}

func TestDockerfile(t *testing.T) {
	report(t, CheckDockerfile("Dockerfile", readFile(t, "Dockerfile")))
}

// The linter's layer rules say the same as the page.
func TestLayers(t *testing.T) {
	const name = ".golangci.yml"
	have := readFile(t, name)
	want, err := SpliceLayers(have, Layers(thePage(t)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("%s: the layer rules differ from the import table in docs/ARCHITECTURE.md; write them anew with: go test ./internal/archtest -update", name)
	}
	if err := os.WriteFile(filepath.Join(top, name), []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every pure package and every package named by another has a row, so that no rule
// is lost by a slip of the pen.
func TestPageIsWhole(t *testing.T) {
	page := thePage(t)
	for _, dir := range page.Pure {
		if row, ok := page.RowOf(dir); !ok || row.Dir != dir {
			t.Errorf("the pure package %q has no row of its own", dir)
		}
	}
	for _, row := range page.Rows {
		for _, ours := range row.Ours {
			if _, ok := page.RowOf(ours); !ok {
				t.Errorf("the row of %q names %q, which has no row", row.Dir, ours)
			}
		}
	}
}
