package site

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// maxDepth bounds how deep a file's values may nest: the parser is recursive.
const maxDepth = 200

// position is a place in a file of the site.
type position struct {
	file         string
	line, column int
}

func (p position) problem(format string, args ...any) FileError {
	return FileError{File: p.file, Line: p.line, Column: p.column, Reason: fmt.Sprintf(format, args...)}
}

// node is one JSON value that remembers where it was written. It outlives the
// merging of files, so that an error names the profile that it came from.
type node struct {
	position
	kind     hujson.Kind // one of { [ " 0 t f n
	literal  hujson.Literal
	members  []member
	elements []*node
}

// member is one key of an object and its value.
type member struct {
	position // of the key
	name     string
	value    *node
}

func (n *node) get(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// find is the value at a JSON pointer (RFC 6901), or the nearest one above it.
func (n *node) find(pointer string) *node {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		next := n.get(unescape.Replace(token))
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.elements) {
			next = n.elements[i]
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// parseNode reads a file: JSON, or JSON with comments and trailing commas.
func parseNode(file string, text []byte) (*node, []FileError) {
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	if !utf8.Valid(text) {
		return nil, []FileError{fileProblem(file, "is not UTF-8 text; save it as UTF-8")}
	}
	if tooDeep(text) {
		return nil, []FileError{fileProblem(file, "nests more than %d levels deep", maxDepth)}
	}
	value, err := hujson.Parse(text)
	if err != nil {
		return nil, []FileError{syntaxProblem(file, err)}
	}
	p := nodeParser{file: file, lines: lineStarts(text)}
	root := p.node(value)
	return root, p.problems
}

// tooDeep counts brackets without regard to strings and comments: it may
// overstate the depth, never understate it.
func tooDeep(text []byte) bool {
	opened := bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{"))
	if opened <= maxDepth {
		return false
	}
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if depth > maxDepth {
			return true
		}
	}
	return false
}

// syntaxProblem takes line and column from the parser's message.
func syntaxProblem(file string, err error) FileError {
	e := FileError{File: file}
	if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &e.Line, &e.Column); scanErr != nil {
		e.Line, e.Column = 0, 0
	}
	if cause := errors.Unwrap(err); cause != nil {
		err = cause
	}
	e.Reason = "is not valid JSON: " + err.Error()
	return e
}

// nodeParser turns the parser's tree into ours.
type nodeParser struct {
	file     string
	lines    []int
	problems []FileError
}

func (p *nodeParser) node(v hujson.Value) *node {
	n := &node{position: p.at(v.StartOffset), kind: v.Value.Kind()}
	switch value := v.Value.(type) {
	case hujson.Literal:
		n.literal = value
	case *hujson.Array:
		for _, element := range value.Elements {
			n.elements = append(n.elements, p.node(element))
		}
	case *hujson.Object:
		n.members = p.members(value)
	}
	return n
}

func (p *nodeParser) members(object *hujson.Object) []member {
	var members []member
	seen := make(map[string]position, len(object.Members))
	for _, m := range object.Members {
		at := p.at(m.Name.StartOffset)
		name := m.Name.Value.(hujson.Literal).String()
		if first, twice := seen[name]; twice {
			p.problems = append(p.problems, at.problem("%q is written twice, first in line %d; remove one", name, first.line))
			continue
		}
		seen[name] = at
		members = append(members, member{at, name, p.node(m.Value)})
	}
	return members
}

func (p *nodeParser) at(offset int) position {
	line := sort.SearchInts(p.lines, offset+1)
	return position{p.file, line, offset - p.lines[line-1] + 1}
}

// lineStarts are the offsets at which lines begin.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// mergeNodes lays one value over another: objects are merged key by key, null
// takes a key away (RFC 7396), everything else replaces what was there.
func mergeNodes(base, over *node) *node {
	if over.kind != '{' {
		return over
	}
	merged := &node{position: over.position, kind: '{'}
	if base != nil && base.kind == '{' {
		merged.members = slices.Clone(base.members)
	}
	index := make(map[string]int, len(merged.members))
	for i, m := range merged.members {
		index[m.name] = i
	}
	for _, m := range over.members {
		if i, known := index[m.name]; known {
			m.value = mergeNodes(merged.members[i].value, m.value)
			merged.members[i] = m
		} else {
			m.value = mergeNodes(nil, m.value)
			merged.members = append(merged.members, m)
		}
	}
	merged.members = slices.DeleteFunc(merged.members, func(m member) bool { return m.value.kind == 'n' })
	return merged
}

// MarshalJSON writes the value as standard JSON.
func (n *node) MarshalJSON() ([]byte, error) {
	switch n.kind {
	case '{':
		return n.marshalObject()
	case '[':
		if n.elements == nil {
			return []byte("[]"), nil
		}
		return json.Marshal(n.elements)
	default:
		return n.literal, nil
	}
}

func (n *node) marshalObject() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range n.members {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := m.value.MarshalJSON()
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

// describe names the kind of value for a person.
func (n *node) describe() string {
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "the text " + string(n.literal)
	case '0':
		return "the number " + string(n.literal)
	default:
		return string(n.literal)
	}
}
