package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// The lines of .golangci.yml between which the layer rules stand.
const (
	layersBegin = "# layers: begin (written from docs/ARCHITECTURE.md by: go test ./internal/archtest -update)"
	layersEnd   = "# layers: end"
)

// Layers writes the import table as depguard rules, one a row, indented for the
// place where they stand in .golangci.yml.
//
// depguard knows prefixes and files, no rows, so two things are coarser there than
// in CheckImports: a folder without a row of its own may not be imported by a
// sibling within an "x", and what exists for tests is told by its folder's name.
func Layers(page *Page) string {
	var b strings.Builder
	for _, r := range page.Rows {
		fmt.Fprintf(&b, "%s:\n  list-mode: strict\n  files:\n", layerName(r.Dir))
		for _, f := range layerFiles(page, r) {
			fmt.Fprintf(&b, "    - %q\n", f)
		}
		b.WriteString("  allow:\n")
		for _, a := range layerAllow(page, r) {
			fmt.Fprintf(&b, "    - %s\n", a)
		}
		if r.All {
			fmt.Fprintf(&b, "  deny:\n    - pkg: %s/internal\n      desc: what is internal here exists for tests\n", Module)
		}
	}
	return b.String()
}

func layerName(dir string) string {
	if dir == "." {
		return "layer-root"
	}
	return "layer-" + strings.ReplaceAll(dir, "/", "-")
}

// layerFiles gives the files of the row: its folder and those below, without the
// rows below it and without tests.
func layerFiles(page *Page, r Row) []string {
	const top = "${config-path}/"
	if r.Dir == "." {
		return []string{top + "*.go", "!$test"}
	}
	glob := func(dir string) string {
		if above, ok := strings.CutSuffix(dir, "/x"); ok {
			return top + above + "/*/**"
		}
		return top + dir + "/**"
	}
	files := []string{glob(r.Dir), "!$test", "!" + top + "**/*test/**"}
	above, isX := strings.CutSuffix(r.Dir, "/x")
	for _, o := range page.Rows {
		// Of folders that an "x" stands for, those with a row of their own are not its.
		if strings.HasPrefix(o.Dir, r.Dir+"/") || isX && o.Dir != r.Dir && strings.HasPrefix(o.Dir, above+"/") {
			files = append(files, "!"+glob(o.Dir))
		}
	}
	return files
}

func layerAllow(page *Page, r Row) []string {
	allow := []string{"$gostd"}
	if r.All {
		allow = append(allow, Module+"$", Module+"/")
	} else {
		for _, dir := range r.Ours {
			allow = append(allow, exactly(page, dir)...)
		}
		if r.Dir != "." && !strings.HasSuffix(r.Dir, "/x") {
			allow = append(allow, exactly(page, r.Dir)...)
		}
	}
	return append(allow, r.ThirdParty...)
}

// exactly allows a folder of ours, and the folders below it unless those have rows.
func exactly(page *Page, dir string) []string {
	if dir == "." {
		return []string{Module + "$"}
	}
	allow := []string{Module + "/" + dir + "$"}
	if !slices.ContainsFunc(page.Rows, func(o Row) bool { return strings.HasPrefix(o.Dir, dir+"/") }) {
		allow = append(allow, Module+"/"+dir+"/")
	}
	return allow
}

// SpliceLayers puts rules between the two marking lines of a configuration, at the
// depth of the first one.
func SpliceLayers(config, rules string) (string, error) {
	head, rest, ok := strings.Cut(config, layersBegin+"\n")
	if !ok {
		return "", fmt.Errorf("the configuration has no line %q", layersBegin)
	}
	_, tail, ok := strings.Cut(rest, layersEnd+"\n")
	if !ok {
		return "", fmt.Errorf("the configuration has no line %q", layersEnd)
	}
	indent := head[strings.LastIndex(head, "\n")+1:]
	var b strings.Builder
	b.WriteString(head + layersBegin + "\n")
	for _, line := range strings.Split(strings.TrimSuffix(rules, "\n"), "\n") {
		b.WriteString(indent + line + "\n")
	}
	b.WriteString(indent + layersEnd + "\n" + tail)
	return b.String(), nil
}
