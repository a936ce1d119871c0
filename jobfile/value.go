package jobfile

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"purser"
)

// value is a node of the file together with the way to it. node is never an
// alias; at is where the user wrote the value, which for an alias is the alias.
type value struct {
	node *yaml.Node
	at   *yaml.Node
	path string // e.g. jobs[0].train.cpus
}

func newValue(n *yaml.Node, path string) value {
	v := value{node: n, at: n, path: path}
	for v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v
}

// fail makes the error of this value. The file's name is put in by the exported
// functions. An empty hint is left out.
func (v value) fail(hint, format string, args ...any) *purser.Error {
	return &purser.Error{
		Kind:    purser.KindInvalid,
		Op:      "jobfile.Parse",
		Message: fmt.Sprintf(format, args...),
		Hint:    hint,
		Place:   &purser.Place{Line: v.at.Line, Column: v.at.Column, Path: clipTo(v.path, maxPath)},
	}
}

// maxPath is the most characters of a path in an error.
const maxPath = 160

// wrong is the error of a value of another type than the field has.
func (v value) wrong(expected, hint string) *purser.Error {
	return v.fail(hint, "expected %s, found %s", expected, describe(v.node))
}

// pair is one field of a mapping.
type pair struct {
	name string
	key  value // where the name stands
	value
}

// pairs gives the fields of a mapping in the order of the file. Fields that come
// in by a merge key (<<) follow; the mapping's own fields win over them, and
// earlier merged mappings over later ones. The tree has been checked: keys are
// scalars, no key is written twice, merged values are mappings.
func (v value) pairs() []pair {
	return appendPairs(nil, v.node, v.path, map[string]bool{})
}

func appendPairs(out []pair, n *yaml.Node, path string, seen map[string]bool) []pair {
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, content := newValue(n.Content[i], path), n.Content[i+1]
		if isMerge(key.node) {
			merged = append(merged, content)
			continue
		}
		name := key.node.Value
		if seen[name] {
			continue
		}
		seen[name] = true
		key.path = join(path, name)
		out = append(out, pair{name: name, key: key, value: newValue(content, key.path)})
	}
	for _, m := range merged {
		from := newValue(m, path)
		if from.node.Kind == yaml.SequenceNode {
			for _, item := range from.node.Content {
				out = appendPairs(out, newValue(item, path).node, path, seen)
			}
			continue
		}
		out = appendPairs(out, from.node, path, seen)
	}
	return out
}

// items gives the entries of a list; any other value is a list of itself.
func (v value) items() []value {
	if v.node.Kind != yaml.SequenceNode {
		return []value{v}
	}
	out := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		out[i] = newValue(n, fmt.Sprintf("%s[%d]", v.path, i))
	}
	return out
}

func (v value) isMapping() bool { return v.node.Kind == yaml.MappingNode }
func (v value) isList() bool    { return v.node.Kind == yaml.SequenceNode }

// tag is the resolved type of a scalar: !!str, !!int, !!float, !!bool, !!null or
// !!timestamp; of a list and a mapping !!seq and !!map.
func (v value) tag() string { return v.node.ShortTag() }

func join(path, name string) string {
	name = clip(name)
	switch {
	case path == "":
		return name
	case strings.ContainsAny(name, ".[] "):
		return fmt.Sprintf("%s[%q]", path, name)
	default:
		return path + "." + name
	}
}

// describe says what a node is, for "expected …, found …".
func describe(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!map":
		return "a mapping"
	case "!!seq":
		return "a list"
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return "the truth value " + clip(n.Value)
	case "!!timestamp":
		return "the time " + clip(n.Value)
	default:
		return fmt.Sprintf("the text %q", clip(n.Value))
	}
}

// clip shortens what is quoted back to the user.
func clip(s string) string { return clipTo(s, 40) }

func clipTo(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
