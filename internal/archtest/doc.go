// Package archtest holds the repository to its own rules: who may import whom,
// what a package says of itself, where a clock may be read, how long a file may
// be, and what must never be committed. It contains nothing that runs in Purser;
// its tests run with every `go test ./...` and in `make lint`.
//
// The import table, the modules behind its words and the list of pure packages
// are read from docs/ARCHITECTURE.md, so the page and the code cannot drift apart.
// The layer rules of the linter (depguard, in .golangci.yml) are written from the
// same table; `go test ./internal/archtest -update` writes them anew.
//
// Every rule is a function from a tree of files to violations. The tests apply
// each to the repository, and to small made-up trees that break it, so that a rule
// which has stopped to look is noticed.
package archtest

import (
	"cmp"
	"fmt"
	"slices"
)

// Module is the path of the module in go.mod.
const Module = "purser"

// Violation is one place that breaks a rule.
type Violation struct {
	File   string // slash-separated, from the top of the repository
	Line   int    // from 1; 0: the file as a whole
	Rule   string // the rule's short name
	Reason string // what is wrong, and why the rule is there
}

// String writes the violation as file:line: rule: reason.
func (v Violation) String() string {
	if v.Line > 0 {
		return fmt.Sprintf("%s:%d: %s: %s", v.File, v.Line, v.Rule, v.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", v.File, v.Rule, v.Reason)
}

// sorted puts violations into the order of files and lines.
func sorted(vs []Violation) []Violation {
	slices.SortStableFunc(vs, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return vs
}
