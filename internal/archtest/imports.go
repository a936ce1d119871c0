package archtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// CheckImports holds every package to its row of the import table. Tests, and
// packages that exist for tests, may import what they need.
func CheckImports(t *Tree, page *Page) []Violation {
	var out []Violation
	for _, p := range t.Packages {
		if p.ForTests() || len(p.code()) == 0 {
			continue
		}
		row, ok := page.RowOf(p.Dir)
		if !ok {
			out = append(out, Violation{
				File: p.Dir, Rule: "imports",
				Reason: "no row of the import table in docs/ARCHITECTURE.md covers this package; say there what it is for and what it may import",
			})
			continue
		}
		for _, f := range p.code() {
			for _, spec := range f.AST.Imports {
				target, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					continue // the parser has seen to it
				}
				if reason := page.refuse(row, p.Dir, target); reason != "" {
					out = append(out, Violation{f.Path, t.line(spec.Pos()), "imports", reason})
				}
			}
		}
	}
	return sorted(out)
}

// refuse says why a package in dir, which belongs to row, may not import target;
// empty when it may.
func (p *Page) refuse(row Row, dir, target string) string {
	if target == "C" {
		return "cgo is not used, so that one static binary needs no C library"
	}
	ours, isOurs := "", target == Module
	if rest, ok := strings.CutPrefix(target, Module+"/"); ok {
		ours, isOurs = rest, true
	} else if isOurs {
		ours = "."
	}
	switch first, _, _ := strings.Cut(target, "/"); {
	case isOurs:
		return p.refuseOurs(row, dir, ours)
	case !strings.Contains(first, "."):
		return "" // the standard library
	case slices.ContainsFunc(row.ThirdParty, func(m string) bool { return within(target, m) }):
		return ""
	default:
		return fmt.Sprintf("%s may not import %s: its row in docs/ARCHITECTURE.md allows %s of others' modules", dir, target, list(row.ThirdParty))
	}
}

func (p *Page) refuseOurs(row Row, dir, ours string) string {
	if forTests(ours) {
		return fmt.Sprintf("%s exists for tests, and code that runs for users may not import it", ours)
	}
	other, ok := p.RowOf(ours)
	switch {
	case row.All, ok && other.Dir == row.Dir && other.unit(ours) == row.unit(dir):
		return ""
	case ok && slices.Contains(row.Ours, other.unit(ours)):
		return ""
	}
	return fmt.Sprintf("%s may not import %s: its row in docs/ARCHITECTURE.md allows %s of ours, so that data flows one way", dir, ours, list(row.Ours))
}

// within says whether an import path is the module or a package of it.
func within(importPath, module string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
