package jobfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"purser"
)

// MaxSize is the most bytes a job file or a limits file may have.
const MaxSize = 8 << 20

// maxMarks bounds what the YAML parser builds before anything of it can be
// checked: a node needs a separator, and takes up to 400 bytes, so a file within
// the limit takes at most about 200 MB while it is read.
const maxMarks = 500_000

// parseTree reads bytes as JSON, when they are, else as YAML, and gives the
// checked root. Its errors have no file name yet.
func parseTree(name string, data []byte) (value, error) {
	if len(data) > MaxSize {
		return value{}, placed(1, 0, "bring large content as local files of the job", "the file is larger than %d MiB", MaxSize>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if err := checkText(data); err != nil {
		return value{}, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return value{}, placed(1, 0, "", "the file is empty")
	}
	var root *yaml.Node
	var err error
	if looksLikeJSON(name, data) {
		root, err = parseJSON(data)
	} else {
		root, err = parseYAML(data)
	}
	if err != nil {
		return value{}, err
	}
	v := newValue(root, "")
	return v, checkTree(v)
}

// placed makes an error at a line and column of the file.
func placed(line, column int, hint, format string, args ...any) *purser.Error {
	return value{at: &yaml.Node{Line: line, Column: column}}.fail(hint, format, args...)
}

// checkText refuses what is not text in UTF-8 without NUL.
func checkText(data []byte) error {
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return placed(1, 1, "save it as UTF-8", "the file is in UTF-16")
	}
	for i := 0; i < len(data); {
		if data[i] != 0 && data[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		if r == 0 || (r == utf8.RuneError && size == 1) {
			line, column := lineColumn(data, i)
			return placed(line, column, "a job file is YAML or JSON in UTF-8", "this is not a text file: byte 0x%02x", data[i])
		}
		i += size
	}
	return nil
}

// lineColumn counts from 1; the column in characters.
func lineColumn(data []byte, offset int) (line, column int) {
	before := data[:min(offset, len(data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}

func parseYAML(data []byte) (*yaml.Node, error) {
	if marks(data) > maxMarks {
		return nil, placed(1, 0, "use replicas for equal tasks, or several files",
			"the file has more than %d lines and separators", maxMarks)
	}
	var doc, next yaml.Node
	in := &lineReader{rest: data}
	dec := yaml.NewDecoder(in)
	err := decodeNode(dec, &doc)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, yamlError(data, in.line, err)
	case err != nil, len(doc.Content) != 1, doc.Content[0].Tag == "!!null":
		return nil, placed(1, 0, "", "the file is empty")
	}
	switch err := decodeNode(dec, &next); {
	case err == nil:
		return nil, placed(next.Line, 0, "put every job under jobs:, or use several files", "a second document begins here; a file holds one")
	case !errors.Is(err, io.EOF):
		return nil, yamlError(data, in.line, err)
	}
	return doc.Content[0], nil
}

// decodeNode turns a panic of the parser into an error: a file that a user sent
// must never end the server.
func decodeNode(dec *yaml.Decoder, into *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: the parser failed: %v", r)
		}
	}()
	return dec.Decode(into)
}

// marks counts what can separate two nodes.
func marks(data []byte) int {
	n := 0
	for _, c := range data {
		switch c {
		case '\n', ',', ':', '[', '{', '-', '?':
			n++
		}
	}
	return n
}

// lineReader serves one line at a time, so that line tells how far the parser
// had come when it gave up. The parser's own figure is often the line where the
// surrounding block began.
type lineReader struct {
	rest []byte
	line int
	mid  bool // the line was longer than the reader's buffer
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	if end := bytes.IndexByte(p[:n], '\n') + 1; end > 0 {
		n = end
	}
	if !r.mid {
		r.line++
	}
	r.mid = r.rest[n-1] != '\n'
	r.rest = r.rest[n:]
	return n, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlError places a syntax error. The parser reads ahead by at most two lines, so the line
// of the fault is the first of the last three whose prefix fails in the same way.
// An open bracket is placed where the parser says that it was opened.
func yamlError(data []byte, served int, err error) error {
	text := err.Error()
	head := yamlLine.FindStringSubmatch(text)
	message := strings.TrimPrefix(text, head[0])
	line := max(served, 1)
	if strings.Contains(message, "',' or") {
		if n, convErr := strconv.Atoi(head[1]); convErr == nil {
			line = min(n+1, line)
		}
	} else {
		for range 2 {
			if line <= 1 || yamlMessage(firstLines(data, line-1)) != message {
				break
			}
			line--
		}
	}
	column := 0
	if i := tabIndent(firstLines(data, line)); i > 0 {
		column = i
	}
	return &purser.Error{
		Kind: purser.KindInvalid, Op: "jobfile.Parse", Message: "this is not valid YAML: " + message,
		Hint: yamlHint(message, column > 0), Place: &purser.Place{Line: line, Column: column},
	}
}

func yamlMessage(data []byte) string {
	var n yaml.Node
	err := decodeNode(yaml.NewDecoder(bytes.NewReader(data)), &n)
	if err == nil || errors.Is(err, io.EOF) {
		return ""
	}
	return strings.TrimPrefix(err.Error(), yamlLine.FindString(err.Error()))
}

func firstLines(data []byte, n int) []byte {
	end := 0
	for range n {
		i := bytes.IndexByte(data[end:], '\n')
		if i < 0 {
			return data
		}
		end += i + 1
	}
	return data[:end]
}

// tabIndent is the column of a tab in the indentation of the last line, or 0.
func tabIndent(data []byte) int {
	data = bytes.TrimSuffix(data, []byte{'\n'})
	last := data[bytes.LastIndexByte(data, '\n')+1:]
	indent := last[:len(last)-len(bytes.TrimLeft(last, " \t"))]
	return bytes.IndexByte(indent, '\t') + 1
}

func yamlHint(message string, tab bool) string {
	switch {
	case tab:
		return "YAML indents with spaces, not with tabs"
	case strings.Contains(message, "mapping values are not allowed"):
		return "check the indentation; a text that holds ': ' needs quotes"
	case strings.Contains(message, "did not find expected"), strings.Contains(message, "could not find expected"):
		return "check the indentation, brackets and quotes around here"
	case strings.Contains(message, "unknown anchor"):
		return "a text that begins with * needs quotes"
	case strings.Contains(message, "cannot start any token"):
		return "a text that begins with @, %, ` or a tab needs quotes"
	case strings.Contains(message, "end of stream"):
		return "a quote or bracket is not closed"
	}
	return ""
}
