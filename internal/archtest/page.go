package archtest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Page is what docs/ARCHITECTURE.md says about packages.
type Page struct {
	Rows    []Row
	Modules map[string][]string // word of the fourth column → module paths; none for "not yet"
	Pure    []string            // folders of the pure packages
}

// Row is one package of the import table.
type Row struct {
	Dir        string   // folder; "." is the root; "pricing/x" stands for any folder in pricing
	Ours       []string // folders it may import; "x" as in Dir
	All        bool     // may import everything of ours
	ThirdParty []string // module paths
}

var (
	importHead  = []string{"package", "one sentence", "may import of ours", "third party"}
	modulesHead = []string{"word", "modules"}
	backticked  = regexp.MustCompile("`([^`]+)`")
	pureLine    = regexp.MustCompile(`(?m)^Pure packages: (.+)\.$`)
)

// ParsePage reads the import table, the table of modules and the line of pure
// packages. A word without a module, a package that stands twice or a table that
// is not there is an error.
func ParsePage(text string) (*Page, error) {
	p := &Page{Modules: map[string][]string{}}
	for _, cells := range table(text, modulesHead) {
		p.Modules[cells[0]] = nil
		for _, m := range backticked.FindAllStringSubmatch(cells[1], -1) {
			p.Modules[cells[0]] = append(p.Modules[cells[0]], m[1])
		}
	}
	for _, cells := range table(text, importHead) {
		rows, err := p.rows(cells)
		if err != nil {
			return nil, err
		}
		p.Rows = append(p.Rows, rows...)
	}
	if len(p.Rows) == 0 || len(p.Modules) == 0 {
		return nil, fmt.Errorf("the page has no import table (head %q) or no table of modules (head %q)",
			strings.Join(importHead, " | "), strings.Join(modulesHead, " | "))
	}
	for i, r := range p.Rows {
		if slices.ContainsFunc(p.Rows[:i], func(o Row) bool { return o.Dir == r.Dir }) {
			return nil, fmt.Errorf("the import table has two rows for %q", r.Dir)
		}
	}
	pure := pureLine.FindStringSubmatch(text)
	if pure == nil {
		return nil, fmt.Errorf("the page has no line that begins with %q", "Pure packages: ")
	}
	for _, name := range split(pure[1]) {
		p.Pure = append(p.Pure, folder(name))
	}
	return p, nil
}

// rows makes one row for each package that the first cell names.
func (p *Page) rows(cells []string) ([]Row, error) {
	var rows []Row
	for _, name := range split(cells[0]) {
		r := Row{Dir: folder(name), All: cells[2] == "all"}
		if !r.All {
			for _, ours := range split(cells[2]) {
				r.Ours = append(r.Ours, folder(ours))
			}
		}
		for _, word := range split(cells[3]) {
			// "gonum (forecast)" in a row of two packages is meant for one of them.
			if w, only, ok := strings.Cut(strings.TrimSuffix(word, ")"), " ("); ok {
				if folder(only) != r.Dir {
					continue
				}
				word = w
			}
			modules, ok := p.Modules[word]
			if !ok {
				return nil, fmt.Errorf("the import table names %q for %s, and the table of modules does not say what that is", word, name)
			}
			r.ThirdParty = append(r.ThirdParty, modules...)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// split cuts a cell at its commas; "–" and "none" mean nothing.
func split(cell string) []string {
	var out []string
	for _, s := range strings.Split(cell, ",") {
		s = strings.Trim(strings.TrimSpace(s), "`")
		if s != "" && s != "–" && s != "none" {
			out = append(out, s)
		}
	}
	return out
}

// folder turns a package's name in the page into its folder.
func folder(name string) string {
	if name == "root" || name == "purser" || name == "purser (root)" {
		return "."
	}
	return name
}

// table gives the cells of every row under the head.
func table(text string, head []string) [][]string {
	var rows [][]string
	inside := false
	for _, line := range strings.Split(text, "\n") {
		cells, ok := cellsOf(line)
		switch {
		case !ok:
			inside = false
		case slices.Equal(cells, head):
			inside = true
		case inside && len(cells) == len(head) && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	return rows
}

func cellsOf(line string) ([]string, bool) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok {
		return nil, false
	}
	cells := strings.Split(strings.TrimSuffix(inner, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells, true
}

// RowOf is the row that a folder belongs to: its own, that of an "x", or that of
// the nearest folder above it.
func (p *Page) RowOf(dir string) (Row, bool) {
	for d := dir; ; d = path.Dir(d) {
		for _, r := range p.Rows {
			if r.Dir == d {
				return r, true
			}
		}
		for _, r := range p.Rows {
			if above, ok := strings.CutSuffix(r.Dir, "/x"); ok && path.Dir(d) == above {
				return r, true
			}
		}
		if !strings.Contains(d, "/") {
			return Row{}, false
		}
	}
}

// unit is the folder within which packages of one row may import each other: the
// row's own folder, or for an "x" the one folder that stands for it.
func (r Row) unit(dir string) string {
	above, ok := strings.CutSuffix(r.Dir, "/x")
	if !ok {
		return r.Dir
	}
	x, _, _ := strings.Cut(strings.TrimPrefix(dir, above+"/"), "/")
	return above + "/" + x
}
