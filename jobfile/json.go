package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// looksLikeJSON says whether the file is read as JSON: by its name, or because it
// is JSON from end to end. YAML that begins with a bracket stays YAML.
func looksLikeJSON(name string, data []byte) bool {
	if strings.EqualFold(path.Ext(name), ".json") {
		return true
	}
	first := bytes.TrimSpace(data)[0]
	return (first == '{' || first == '[') && json.Valid(data)
}

// jsonReader builds the same nodes from JSON as the YAML parser builds, so that
// everything behind it is shared. YAML parsers stumble over some JSON, such as
// escaped surrogate pairs, and place its errors poorly.
type jsonReader struct {
	data  []byte
	dec   *json.Decoder
	nodes int
	// The last place asked for, so that finding the next one reads on from there.
	offset, line, lineStart int
}

func parseJSON(data []byte) (*yaml.Node, error) {
	if err := checkJSON(data); err != nil {
		return nil, err
	}
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	return r.node(0)
}

// next is the place of the next token.
func (r *jsonReader) next() (line, column int) {
	i := int(r.dec.InputOffset())
	for i < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[i]) >= 0 {
		i++
	}
	return r.place(i)
}

func (r *jsonReader) place(offset int) (line, column int) {
	offset = min(offset, len(r.data))
	if offset < r.offset {
		return lineColumn(r.data, offset)
	}
	between := r.data[r.offset:offset]
	if i := bytes.LastIndexByte(between, '\n'); i >= 0 {
		r.line += bytes.Count(between, []byte{'\n'})
		r.lineStart = r.offset + i + 1
	}
	r.offset = offset
	return r.line, utf8.RuneCount(r.data[r.lineStart:offset]) + 1
}

// checkJSON gives the first error of syntax. Errors of the token reader would lie
// at differing offsets.
func checkJSON(data []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if err == nil {
		return nil
	}
	at, message := len(data), "the file ends too early"
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok && !strings.Contains(syntax.Error(), "unexpected end") {
		at, message = max(int(syntax.Offset)-1, 0), syntax.Error()
	}
	line, column := lineColumn(data, at)
	hint := "check the commas, quotes and brackets around here"
	if strings.Contains(message, "after top-level value") {
		hint = "a file holds one JSON value"
	}
	return placed(line, column, hint, "this is not valid JSON: %s", message)
}

func (r *jsonReader) node(depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	n.Line, n.Column = r.next()
	if r.nodes++; r.nodes > maxNodes {
		return nil, placed(n.Line, n.Column, "use replicas for equal tasks, or several files", "the file holds more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return nil, placed(n.Line, n.Column, "", "the file is nested more than %d deep", maxDepth)
	}
	tok, err := r.dec.Token()
	if err != nil {
		return nil, placed(n.Line, n.Column, "", "this is not valid JSON: %s", err)
	}
	switch t := tok.(type) {
	case json.Delim:
		return n, r.children(n, t, depth)
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", "false"
		if t {
			n.Value = "true"
		}
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

func (r *jsonReader) children(n *yaml.Node, open json.Delim, depth int) error {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for r.dec.More() {
		child, err := r.node(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	if _, err := r.dec.Token(); err != nil { // the closing bracket
		return placed(n.Line, n.Column, "", "this is not valid JSON: %s", err)
	}
	return nil
}
