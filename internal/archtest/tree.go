package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Tree is the Go code of a repository, parsed.
type Tree struct {
	Fset     *token.FileSet
	Packages []*Package // by folder
}

// Package is the Go files of one folder. A package and its external test package
// share one.
type Package struct {
	Dir   string // "." is the top
	Name  string // of the non-test files; empty where there are only tests
	Files []*File
}

// File is one Go file.
type File struct {
	Path      string
	Test      bool // its name ends in _test.go
	Ignored   bool // its build line says ignore: a tool beside the package, not part of it
	Generated bool
	Lines     int
	AST       *ast.File
}

// Import is the import path of the package.
func (p *Package) Import() string {
	if p.Dir == "." {
		return Module
	}
	return Module + "/" + p.Dir
}

// Main says whether the package is a command.
func (p *Package) Main() bool { return p.Name == "main" }

// ForTests says whether the package exists for tests alone: everything under
// internal/, and folders whose name ends in "test".
func (p *Package) ForTests() bool { return forTests(p.Dir) }

func forTests(dir string) bool {
	return dir == "internal" || strings.HasPrefix(dir, "internal/") || strings.HasSuffix(path.Base(dir), "test")
}

// code gives the files that are part of the package as it is built for users.
func (p *Package) code() []*File {
	return slices.DeleteFunc(slices.Clone(p.Files), func(f *File) bool { return f.Test || f.Ignored })
}

// skipped folders hold no code of ours: they are brought, built, or data of tests,
// or (tools) a module of their own.
func skipped(dir string) bool {
	base := path.Base(dir)
	return dir != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") ||
		base == "node_modules" || base == "testdata" || base == "bin" || base == "dist" || dir == "tools")
}

// Load parses every Go file under the top of fsys, whatever its build constraints.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{Fset: token.NewFileSet()}
	packages := map[string]*Package{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(name):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		file, err := t.parse(name, src)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if packages[dir] == nil {
			packages[dir] = &Package{Dir: dir}
		}
		p := packages[dir]
		p.Files = append(p.Files, file)
		if !file.Test && !file.Ignored {
			p.Name = file.AST.Name.Name
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the repository's Go files: %w", err)
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		t.Packages = append(t.Packages, packages[dir])
	}
	return t, nil
}

func (t *Tree) parse(name string, src []byte) (*File, error) {
	parsed, err := parser.ParseFile(t.Fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &File{
		Path:      name,
		Test:      strings.HasSuffix(name, "_test.go"),
		Ignored:   ignored(parsed),
		Generated: generated(name, src),
		Lines:     bytes.Count(src, []byte("\n")),
		AST:       parsed,
	}, nil
}

// ignored finds a //go:build line that asks for the tag "ignore".
func ignored(f *ast.File) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if x, err := constraint.Parse(c.Text); err == nil && x.Eval(func(tag string) bool { return tag != "ignore" }) != x.Eval(func(string) bool { return true }) {
				return true
			}
		}
	}
	return false
}

var (
	generatedLine = regexp.MustCompile(`(?m)^(//|/\*| \*) ?.*(Code generated .* DO NOT EDIT|auto-generated)`)
	generatedName = regexp.MustCompile(`(_gen|\.gen|_generated)\.[a-z]+$`)
)

// generated says whether a file was written by a program: by its name, or by a
// line that says so within its first 2 kB.
func generated(name string, src []byte) bool {
	return generatedName.MatchString(name) || generatedLine.Match(src[:min(len(src), 2048)])
}

func (t *Tree) line(pos token.Pos) int { return t.Fset.Position(pos).Line }
