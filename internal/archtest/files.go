package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The longest that a file written by hand may be, in lines. Longer ones hold more
// than one thing.
const maxLines = 500

// Texts reads the named files, without those that are not text or not there any
// more (git lists a deleted file until the deletion is committed).
func Texts(fsys fs.FS, names []string) (map[string]string, error) {
	out := make(map[string]string, len(names))
	for _, name := range names {
		info, err := fs.Stat(fsys, name)
		if err != nil || !info.Mode().IsRegular() || info.Size() > 8<<20 {
			continue
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		if !bytes.ContainsRune(b[:min(len(b), 8192)], 0) {
			out[name] = string(b)
		}
	}
	return out, nil
}

// CheckLengths refuses hand-written source files of more than 500 lines.
func CheckLengths(texts map[string]string) []Violation {
	var out []Violation
	for name, text := range texts {
		if !slices.Contains([]string{".go", ".ts", ".tsx", ".css", ".sql", ".sh"}, path.Ext(name)) || generated(name, []byte(text)) {
			continue
		}
		if n := strings.Count(text, "\n"); n > maxLines {
			out = append(out, Violation{File: name, Rule: "length", Reason: fmt.Sprintf("%d lines; a file holds one thing in at most %d", n, maxLines)})
		}
	}
	return sorted(out)
}

var homeFolder = regexp.MustCompile(`/(home|Users)/[A-Za-z0-9._-]+/`)

// CheckPlaces refuses paths of one machine: folders is where this clone and its
// user's home lie. Home folders of anyone else are refused too.
func CheckPlaces(texts map[string]string, folders []string) []Violation {
	var out []Violation
	for name, text := range texts {
		for i, line := range strings.Split(text, "\n") {
			found := homeFolder.FindString(line)
			for _, folder := range folders {
				if strings.Contains(line, folder) {
					found = folder
				}
			}
			if found != "" {
				out = append(out, Violation{name, i + 1, "machine path", found + " exists on one machine only; use a relative path, a flag or the environment"})
			}
		}
	}
	return sorted(out)
}

var replaceLine = regexp.MustCompile(`^\s*(replace\s|[^\s/]\S* (\S+ )?=> )`)

// CheckLocks refuses download addresses in npm's lock files, which would tie every
// clone to one registry, and replace directives in go.mod files, which make the
// module build differently as a dependency.
func CheckLocks(texts map[string]string) []Violation {
	var out []Violation
	for name, text := range texts {
		for i, line := range strings.Split(text, "\n") {
			switch base := path.Base(name); {
			case base == "package-lock.json" && strings.Contains(line, `"resolved": "http`):
				out = append(out, Violation{name, i + 1, "lock file", "a download address ties the lock to one registry; .npmrc's omit-lockfile-registry-resolved=true keeps it out"})
			case base == "go.mod" && replaceLine.MatchString(line):
				out = append(out, Violation{name, i + 1, "go.mod", "no replace: depend on a released version"})
			}
		}
	}
	return sorted(out)
}

var markdownLink = regexp.MustCompile(`\]\(([^)\s#]+)(?:#[^)\s]*)?\)`)

// CheckLinks refuses links from a page to a file that is not there. Links to the
// web are not followed.
func CheckLinks(fsys fs.FS, texts map[string]string) []Violation {
	var out []Violation
	for name, text := range texts {
		if path.Ext(name) != ".md" {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			for _, m := range markdownLink.FindAllStringSubmatch(line, -1) {
				if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
					continue
				}
				if _, err := fs.Stat(fsys, path.Join(path.Dir(name), m[1])); err != nil {
					out = append(out, Violation{name, i + 1, "link", m[1] + " is not there"})
				}
			}
		}
	}
	return sorted(out)
}
