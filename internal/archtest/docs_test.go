package archtest

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"purser"
)

var (
	leaseStates = []string{"planned", "launching", "running", "draining", "released", "failed", "withdrawn"}
	taskStates  = []string{"queued", "placed", "running", "succeeded", "failed", "lost", "cancelled"}
)

// steps reads the transitions that a table of docs/STATES.md lists under a
// heading, written as "from → to". What begins at "–" is a birth, not a step.
func steps(text, heading string) []string {
	_, section, _ := strings.Cut(text, "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var out []string
	for _, cells := range table(section, []string{"from", "to", "when", "made by"}) {
		for _, from := range split(cells[0]) {
			for _, to := range split(cells[1]) {
				out = append(out, from+" → "+to)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// allowed lists the transitions that the code allows.
func allowed(states []string, can func(from, to string) bool) []string {
	var out []string
	for _, from := range states {
		for _, to := range states {
			if can(from, to) {
				out = append(out, from+" → "+to)
			}
		}
	}
	slices.Sort(out)
	return out
}

// docs/STATES.md lists exactly the transitions that the root package allows.
func TestStatesPage(t *testing.T) {
	page := readFile(t, "docs/STATES.md")
	for _, c := range []struct {
		heading string
		want    []string
	}{
		{"## Lease", allowed(leaseStates, func(from, to string) bool { return purser.LeaseState(from).Can(purser.LeaseState(to)) })},
		{"## Task", allowed(taskStates, func(from, to string) bool { return purser.TaskState(from).Can(purser.TaskState(to)) })},
	} {
		if got := steps(page, c.heading); !slices.Equal(got, c.want) || len(got) == 0 {
			t.Errorf("docs/STATES.md, %s\nlists    %s\nallowed: %s", c.heading, strings.Join(got, ", "), strings.Join(c.want, ", "))
		}
	}
}

// docs/GLOSSARY.md gives every kind of error the status that the program gives it.
func TestErrorKindsPage(t *testing.T) {
	kinds := []purser.Kind{
		purser.KindInvalid, purser.KindNotFound, purser.KindConflict, purser.KindUnauthorized, purser.KindForbidden, purser.KindInfeasible,
		purser.KindNoCapacity, purser.KindQuota, purser.KindThrottled, purser.KindStale, purser.KindUnavailable, purser.KindInternal,
	}
	rows := table(readFile(t, "docs/GLOSSARY.md"), []string{"kind", "meaning", "status"})
	if len(rows) != len(kinds) {
		t.Errorf("docs/GLOSSARY.md lists %d kinds of error, the root package has %d", len(rows), len(kinds))
	}
	for _, cells := range rows {
		kind := purser.Kind(cells[0])
		if want := strconv.Itoa(purser.HTTPStatus(kind)); !slices.Contains(kinds, kind) || cells[2] != want {
			t.Errorf("docs/GLOSSARY.md gives %s the status %s, the program %s", kind, cells[2], want)
		}
	}
}

// docs/adr/0005 gives a reason for every direct dependency.
func TestDependenciesPage(t *testing.T) {
	page := readFile(t, "docs/adr/0005-dependencies.md")
	direct := 0
	for _, line := range strings.Split(readFile(t, "go.mod"), "\n") {
		module, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(line, "\t") || !strings.HasPrefix(version, "v") || strings.HasSuffix(version, "// indirect") {
			continue
		}
		direct++
		// A module beside another one is written with the part that differs: …/parsers/yaml.
		_, tail, _ := strings.Cut(strings.TrimPrefix(module, "github.com/"), "/")
		_, tail, _ = strings.Cut(tail, "/")
		if !strings.Contains(page, "`"+module+"`") && (tail == "" || !strings.Contains(page, "`…/"+tail+"`")) {
			t.Errorf("docs/adr/0005-dependencies.md does not say why go.mod requires %s", module)
		}
	}
	if direct == 0 {
		t.Error("found no direct dependency in go.mod; the search has lost its way")
	}
}
