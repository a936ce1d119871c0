package jobfile

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"purser"
)

// Limits on what a job brings along. The total holds over all jobs of a file.
const (
	MaxFile    = 4 << 20
	maxBrought = 16 << 20
)

// runFields say what a task executes.
var runFields = []field[purser.Run]{
	{"command", func(_ *reader, run *purser.Run, v value) (err error) { run.Command, err = v.script(); return }},
	{"setup", func(_ *reader, run *purser.Run, v value) (err error) { run.Setup, err = v.script(); return }},
	{"image", func(_ *reader, run *purser.Run, v value) (err error) { run.Image, err = v.word(); return }},
	{"workdir", func(_ *reader, run *purser.Run, v value) (err error) { run.Workdir, err = v.folder(); return }},
	{"env", func(_ *reader, run *purser.Run, v value) (err error) { run.Env, err = readEnv(v); return }},
	{"files", readFiles},
}

// folder reads the path of a folder on the machine. It may be absolute, since
// images have folders of their own, and never climbs.
func (v value) folder() (string, error) {
	s, err := v.text(maxWord)
	if err != nil {
		return "", err
	}
	if s == "" {
		return "", v.fail("", "the path is empty")
	}
	if climbs(s) {
		return "", v.fail("", "the path %q must not hold ..", clip(s))
	}
	return s, nil
}

func climbs(s string) bool { return slices.Contains(strings.Split(s, "/"), "..") }

var envForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// readEnv reads a mapping of names to values, or a list of NAME=value.
func readEnv(v value) (map[string]string, error) {
	out := map[string]string{}
	put := func(name, text string, at value) error {
		switch {
		case !envForm.MatchString(name) || len(name) > 255:
			return at.fail("letters, digits and _, not beginning with a digit", "%q cannot name an environment variable", clip(name))
		case strings.HasPrefix(name, "PURSER_"):
			return at.fail("", "%s is reserved: variables that begin with PURSER_ are set by Purser", clip(name))
		case len(out) >= maxListed:
			return at.fail("", "there are more than %d variables", maxListed)
		}
		if _, ok := out[name]; ok {
			return at.fail("", "%s is set twice", clip(name))
		}
		out[name] = text
		return nil
	}
	if v.isMapping() {
		for _, p := range v.pairs() {
			text, err := p.plain(maxScript)
			if err == nil {
				err = put(p.name, text, p.key)
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if !v.isList() {
		return nil, v.wrong("variables", "write NAME: value in lines of their own")
	}
	for _, item := range v.items() {
		s, err := item.text(maxScript)
		if err != nil {
			return nil, err
		}
		name, text, ok := strings.Cut(s, "=")
		if !ok {
			return nil, item.fail("write NAME=value", "%q gives no value", clip(s))
		}
		if err := put(name, text, item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readLabels reads labels for people and for costs.
func readLabels(v value) (map[string]string, error) {
	if !v.isMapping() {
		return nil, v.wrong("labels", "write name: value in lines of their own")
	}
	out := map[string]string{}
	for _, p := range v.pairs() {
		if !labelForm.MatchString(p.name) {
			return nil, p.key.fail("up to 63 letters, digits and . _ - /", "%q cannot name a label", clip(p.name))
		}
		text, err := p.plain(255)
		if err != nil {
			return nil, err
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7F }) {
			return nil, p.fail("", "a label has one line")
		}
		if len(out) >= 64 {
			return nil, p.key.fail("", "there are more than 64 labels")
		}
		out[p.name] = text
	}
	return out, nil
}

var labelForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$`)

// brought is one entry of files as it is written.
type brought struct {
	from, path, content string
	mode                uint32
}

var fileTable = table[brought]{what: "a file", fields: []field[brought]{
	{"from", func(_ *reader, b *brought, v value) (err error) { b.from, err = v.localPath(); return }},
	{"to", func(_ *reader, b *brought, v value) (err error) { b.path, err = v.localPath(); return }},
	{"path", func(_ *reader, b *brought, v value) (err error) { b.path, err = v.localPath(); return }},
	{"content", func(_ *reader, b *brought, v value) (err error) { b.content, err = v.text(MaxFile); return }},
	{"mode", func(_ *reader, b *brought, v value) (err error) { b.mode, err = v.mode(); return }},
}}

// localPath reads a path that stays below its folder.
func (v value) localPath() (string, error) {
	s, err := v.text(maxWord)
	if err != nil {
		return "", err
	}
	clean := path.Clean(s)
	switch {
	case s == "" || clean == ".":
		return "", v.fail("", "the path names no file")
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "~"), strings.Contains(s, `\`), len(s) > 1 && s[1] == ':':
		return "", v.fail("write it like data/train.csv", "the path %q must be relative, with / between folders", clip(s))
	case climbs(s):
		return "", v.fail("files come from the job file's folder and below", "the path %q must not hold ..", clip(s))
	case !fs.ValidPath(clean) || strings.HasSuffix(s, "/") || slices.ContainsFunc(strings.Split(clean, "/"), func(e string) bool { return len(e) > 255 }):
		return "", v.fail("", "the path %q names no file", clip(s))
	}
	return clean, nil
}

// mode reads permission bits in octal digits, as chmod takes them.
func (v value) mode() (uint32, error) {
	s, err := v.quantity("permission bits", "0755")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || n > 0o777 || n == 0 {
		return 0, v.fail("write them like 0755", "%q are not permission bits", clip(s))
	}
	return uint32(n), nil
}

func readFiles(r *reader, run *purser.Run, v value) error {
	if !v.isList() {
		return v.wrong("a list of files", "write - train.py, or - {path: run.sh, content: …}")
	}
	items := v.items()
	if len(items) > maxListed {
		return v.fail("", "there are more than %d files", maxListed)
	}
	taken := map[string]bool{} // true for a file, false for a folder that holds one
	for _, item := range items {
		f, err := readFile(r, item)
		if err != nil {
			return err
		}
		if !place(taken, f.Path) {
			return item.fail("", "two files would stand at %q", clip(f.Path))
		}
		run.Files = append(run.Files, f)
	}
	return nil
}

// place marks a path as taken and says whether it was free: no file stands there,
// above it or below it.
func place(taken map[string]bool, at string) bool {
	if _, ok := taken[at]; ok {
		return false
	}
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if taken[dir] {
			return false
		}
		taken[dir] = false
	}
	taken[at] = true
	return true
}

func readFile(r *reader, v value) (purser.File, error) {
	var b brought
	if !v.isMapping() {
		from, err := v.localPath()
		if err != nil {
			return purser.File{}, err
		}
		content, err := r.bring(v, from)
		return purser.File{Path: from, Content: content}, err
	}
	w, err := fileTable.read(r, v, &b)
	if err != nil {
		return purser.File{}, err
	}
	const hint = "give from and to, or path and content"
	switch {
	case w.has("to") && w.has("path"), w.has("from") && w.has("content"), w.has("from") && w.has("path"):
		return purser.File{}, v.fail(hint, "the file has two origins or two places")
	case w.has("content") && b.path == "", !w.has("content") && !w.has("from"):
		return purser.File{}, v.fail(hint, "the file has no origin or no place")
	}
	f := purser.File{Path: b.path, Content: []byte(b.content), Mode: b.mode}
	if w.has("content") {
		return f, r.count(w["content"], len(b.content))
	}
	if f.Path == "" {
		f.Path = b.from
	}
	f.Content, err = r.bring(w["from"], b.from)
	return f, err
}

// bring reads a local file of the user.
func (r *reader) bring(v value, from string) ([]byte, error) {
	if r.readFile == nil {
		return nil, v.fail("write path and content, or submit with the command line", "local files cannot be brought from here")
	}
	content, err := r.readFile(from)
	if err != nil {
		e := v.fail("", "the file %q cannot be read", clip(from))
		e.Cause = err
		return nil, e
	}
	return content, r.count(v, len(content))
}

// count adds to what is brought and refuses too much.
func (r *reader) count(v value, n int) error {
	r.brought += int64(n)
	const hint = "keep data in a bucket and fetch it in setup"
	if n > MaxFile {
		return v.fail(hint, "the file is larger than %d MiB", MaxFile>>20)
	}
	if r.brought > maxBrought {
		return v.fail(hint, "the files of all jobs are larger than %d MiB together", maxBrought>>20)
	}
	return nil
}
