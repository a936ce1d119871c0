package jobfile

import (
	"go.yaml.in/yaml/v3"
)

// Limits on the tree, so that a small file cannot become a large one.
const (
	maxNodes = 1_000_000 // with every alias counted as what it stands for
	maxText  = 32 << 20  // bytes of text, counted likewise
	maxDepth = 64
)

// treeCheck walks every node once. grown remembers what an anchored node grows
// to; open holds the nodes that the walk is inside of.
type treeCheck struct {
	grown map[*yaml.Node]size
	open  map[*yaml.Node]bool
}

type size struct{ nodes, text int }

func (s size) plus(o size) size { return size{s.nodes + o.nodes, s.text + o.text} }

// checkTree refuses tags, keys that are not plain words, keys written twice,
// aliases that refer to themselves or grow too large, and deep nesting.
func checkTree(root value) error {
	c := treeCheck{grown: map[*yaml.Node]size{}, open: map[*yaml.Node]bool{}}
	_, err := c.walk(root, 0)
	return err
}

func (c *treeCheck) walk(v value, depth int) (size, error) {
	n := v.node
	if s, ok := c.grown[n]; ok {
		return s, nil
	}
	switch {
	case c.open[n]:
		return size{}, v.fail("", "the alias *%s refers to itself", clip(v.at.Value))
	case depth > maxDepth:
		return size{}, v.fail("", "the file is nested more than %d deep", maxDepth)
	case n.Style&yaml.TaggedStyle != 0:
		return size{}, v.fail("write the plain value", "the tag %s is not used in these files", clip(n.Tag))
	}
	if n.Anchor != "" {
		c.open[n] = true
		defer delete(c.open, n)
	}
	s := size{1, len(n.Value)}
	var err error
	switch {
	case v.isMapping():
		s, err = c.mapping(v, s, depth)
	case v.isList():
		for _, item := range v.items() {
			if s, err = c.add(s, item, depth); err != nil {
				break
			}
		}
	}
	if err != nil {
		return size{}, err
	}
	if n.Anchor != "" {
		c.grown[n] = s
	}
	return s, nil
}

func (c *treeCheck) add(sum size, child value, depth int) (size, error) {
	s, err := c.walk(child, depth+1)
	if err != nil {
		return size{}, err
	}
	sum = sum.plus(s)
	if sum.nodes > maxNodes || sum.text > maxText {
		return size{}, child.fail("use replicas for equal tasks, or several files",
			"with its aliases written out the file holds more than %d values or %d MiB of text", maxNodes, maxText>>20)
	}
	return sum, nil
}

func (c *treeCheck) mapping(v value, s size, depth int) (size, error) {
	first := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := newValue(v.node.Content[i], v.path)
		if key.node.Kind != yaml.ScalarNode {
			return size{}, key.wrong("the name of a field", "")
		}
		name := key.node.Value
		key.path = join(v.path, name)
		if line, ok := first[name]; ok {
			return size{}, key.fail("", "%q is written twice, first in line %d", clip(name), line)
		}
		first[name] = key.at.Line
		if key.node.Style&yaml.TaggedStyle != 0 {
			return size{}, key.fail("write the plain name", "the tag %s is not used in these files", clip(key.node.Tag))
		}
		s.text += len(name)
		content := newValue(v.node.Content[i+1], key.path)
		var err error
		if s, err = c.add(s, content, depth); err != nil {
			return size{}, err
		}
		if isMerge(key.node) {
			if err := checkMerge(content); err != nil {
				return size{}, err
			}
		}
	}
	return s, nil
}

func isMerge(key *yaml.Node) bool { return key.Tag == "!!merge" }

func checkMerge(v value) error {
	for _, item := range v.items() {
		if !item.isMapping() {
			return item.wrong("a mapping to merge", "write <<: *name, where &name marks a mapping")
		}
	}
	return nil
}
