package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The least that a package comment has to say, in characters. One line that
// repeats the name does not reach it.
const minPackageComment = 80

// CheckPackageComments wants exactly one comment on each package, long enough to
// say what the package is.
func CheckPackageComments(t *Tree) []Violation {
	var out []Violation
	for _, p := range t.Packages {
		var commented []*File
		for _, f := range p.code() {
			if f.AST.Doc != nil && strings.TrimSpace(f.AST.Doc.Text()) != "" {
				commented = append(commented, f)
			}
		}
		if p.Name == "" {
			continue
		}
		const rule = "package comment"
		if len(commented) == 0 {
			out = append(out, Violation{File: p.Dir, Rule: rule, Reason: "the package has none; say above its package clause what it is, and in which states and ways it can fail"})
			continue
		}
		for _, f := range commented[1:] {
			out = append(out, Violation{
				f.Path, t.line(f.AST.Package), rule,
				fmt.Sprintf("the package has another one in %s; one place says what it is", path.Base(commented[0].Path)),
			})
		}
		text, begin := commented[0].AST.Doc.Text(), "Package "+p.Name+" "
		if p.Main() {
			begin = "Command " + path.Base(p.Dir) + " "
		}
		if !strings.HasPrefix(text, begin) {
			out = append(out, Violation{commented[0].Path, t.line(commented[0].AST.Doc.Pos()), rule, fmt.Sprintf("it begins with %q, as godoc expects", begin)})
		}
		if len(text) < minPackageComment {
			out = append(out, Violation{commented[0].Path, t.line(commented[0].AST.Doc.Pos()), rule, fmt.Sprintf("%d characters say too little; at least %d", len(text), minPackageComment)})
		}
	}
	return sorted(out)
}

// CheckInits refuses init functions: what runs before main cannot be given a
// context, a logger or an error.
func CheckInits(t *Tree) []Violation {
	var out []Violation
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, d := range f.AST.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !f.Generated {
					out = append(out, Violation{f.Path, t.line(fn.Pos()), "init", "no init functions: build what you need in a constructor, where it can fail with an error"})
				}
			}
		}
	}
	return sorted(out)
}

// impure lists what a pure package may not import at all, with the reason.
var impure = map[string]string{
	"crypto/rand":  "randomness comes from a seed that is passed in",
	"database/sql": "a database is I/O",
	"io/ioutil":    "files are I/O",
	"log":          "a log is I/O; return what there is to say",
	"log/slog":     "a log is I/O; return what there is to say",
	"net":          "the network is I/O",
	"os":           "files, environment and processes are I/O",
	"os/exec":      "processes are I/O",
	"os/signal":    "signals come from outside",
	"os/user":      "users come from the environment",
	"syscall":      "the system is I/O",
}

// impureNames lists, by package, the names that a pure package may not use.
var impureNames = map[string][]string{
	"time":    {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Local", "LoadLocation"},
	"context": {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
	"fmt":     {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

// seeded lists the only names of math/rand and math/rand/v2 that a pure package
// may use: those that take their seed or source as an argument, and types.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewSource", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

// CheckPure is the clock rule: it refuses clocks, environment, randomness without
// a seed, and I/O in the packages that the page calls pure. Tests are exempt.
func CheckPure(t *Tree, page *Page) []Violation {
	var out []Violation
	for _, p := range t.Packages {
		row, ok := page.RowOf(p.Dir)
		if !ok || p.ForTests() || !slices.Contains(page.Pure, row.Dir) {
			continue
		}
		for _, f := range p.code() {
			out = append(out, pureImports(t, f)...)
			out = append(out, pureNames(t, f)...)
		}
	}
	return sorted(out)
}

func pureImports(t *Tree, f *File) []Violation {
	var out []Violation
	for _, spec := range f.AST.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if why := impure[target]; why != "" {
			out = append(out, Violation{f.Path, t.line(spec.Pos()), "pure", fmt.Sprintf("a pure package may not import %s: %s", target, why)})
		}
		if spec.Name != nil && spec.Name.Name == "." {
			out = append(out, Violation{f.Path, t.line(spec.Pos()), "pure", "a dot import hides where names come from"})
		}
	}
	return out
}

// pureNames looks at every use of a name from another package.
func pureNames(t *Tree, f *File) []Violation {
	packages := map[string]string{} // local name → import path
	for _, spec := range f.AST.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(target)
		if name == "v2" {
			name = path.Base(path.Dir(target))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		packages[name] = target
	}
	var out []Violation
	ast.Inspect(f.AST, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		if why := impureName(packages[x.Name], sel.Sel.Name); why != "" {
			out = append(out, Violation{f.Path, t.line(sel.Pos()), "pure", fmt.Sprintf("a pure package may not use %s.%s: %s", x.Name, sel.Sel.Name, why)})
		}
		return true
	})
	return out
}

func impureName(pkg, name string) string {
	switch {
	case slices.Contains(impureNames[pkg], name):
		if pkg == "fmt" {
			return "it reads or writes outside; return what there is to say"
		}
		return "it depends on the clock or the machine; take a time or a limit as an argument"
	case (pkg == "math/rand" || pkg == "math/rand/v2") && !slices.Contains(seeded, name):
		return "it draws from a generator that nobody seeded; take a *rand.Rand as an argument"
	case pkg == "net/http" && !strings.HasPrefix(name, "Status"):
		return "the network is I/O; only the numbers of statuses may be used here"
	}
	return ""
}
