// Package jsontext reads JSON that people write, with comments, and tells for
// each value its place in the text. Its problems name file, line and column.
package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a manifest or a configuration.
const (
	MaxSize    = 1 << 20 // bytes
	maxNesting = 64      // arrays and objects within one another
)

// node is a JSON value that knows where in its text it stands.
type Node struct {
	Offset int
	// value is nil, bool, string, json.Number, []*node or []member.
	Value any
	// index gives the place of each member of an object.
	index map[string]int
}

// member is one name of an object with its value, in the text's order.
type Member struct {
	Name   string
	Offset int
	Value  *Node
}

// parseDocument reads the one JSON value that data holds. Duplicate names,
// text that is not UTF-8, and numbers that no machine can hold are refused:
// readers of such documents disagree about what they mean.
func Parse(r *Report) (*Node, bool) {
	switch {
	case len(r.Text) > MaxSize:
		r.Add(0, "", "is %d bytes long, which is more than the %d allowed", len(r.Text), MaxSize)
		return nil, false
	case bytes.HasPrefix(r.Text, []byte("\ufeff")):
		r.Add(0, "", "begins with a byte order mark: save it as UTF-8 without one")
		return nil, false
	case !utf8.Valid(r.Text):
		r.Add(invalidUTF8(r.Text), "", "is not UTF-8 text")
		return nil, false
	}
	p := parser{dec: json.NewDecoder(bytes.NewReader(r.Text)), report: r}
	p.dec.UseNumber()
	n, err := p.value("", 0)
	if err == nil {
		err = p.end()
	}
	if err != nil {
		p.fail(err)
	}
	return n, len(r.Problems) == 0
}

// invalidUTF8 is the offset of the first byte that is not UTF-8.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// parser reads tokens and keeps track of where they stand.
type parser struct {
	dec    *json.Decoder
	report *Report
}

// errTold stops the parser after a problem that is in the report already.
var errTold = errors.New("already told")

// start is the offset of the token that comes next.
func (p *parser) start() int {
	at := int(p.dec.InputOffset())
	for at < len(p.report.Text) && strings.IndexByte(" \t\r\n,:", p.report.Text[at]) >= 0 {
		at++
	}
	return at
}

func (p *parser) fail(err error) {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errTold):
	case errors.As(err, &syntax):
		p.report.Add(p.start(), "", "is not JSON: %v", err)
	default:
		p.report.Add(len(p.report.Text), "", "is not JSON: it ends too early")
	}
}

// end checks that nothing follows the value.
func (p *parser) end() error {
	at := p.start()
	if _, err := p.dec.Token(); errors.Is(err, io.EOF) {
		return nil
	}
	p.report.Add(at, "", "is not JSON: something follows the value")
	return errTold
}

func (p *parser) value(path string, depth int) (*Node, error) {
	n := &Node{Offset: p.start()}
	if depth > maxNesting {
		p.report.Add(n.Offset, path, "is nested deeper than %d levels", maxNesting)
		return n, errTold
	}
	token, err := p.dec.Token()
	if err != nil {
		return n, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			n.Value, n.index, err = p.object(path, depth)
		} else {
			n.Value, err = p.array(path, depth)
		}
	case json.Number:
		n.Value = t
		p.checkNumber(n.Offset, path, t)
	default:
		n.Value = t
	}
	return n, err
}

// checkNumber refuses what overflows: such a number is worth gigabytes to a
// library that computes exactly.
func (p *parser) checkNumber(offset int, path string, number json.Number) {
	if _, err := strconv.ParseFloat(string(number), 64); err != nil || len(number) > 100 {
		p.report.Add(offset, path, "is a number out of range")
	}
}

func (p *parser) array(path string, depth int) ([]*Node, error) {
	list := []*Node{}
	for p.dec.More() {
		n, err := p.value(path+"/"+strconv.Itoa(len(list)), depth+1)
		if err != nil {
			return list, err
		}
		list = append(list, n)
	}
	_, err := p.dec.Token()
	return list, err
}

func (p *parser) object(path string, depth int) ([]Member, map[string]int, error) {
	list, index := []Member{}, map[string]int{}
	for p.dec.More() {
		m := Member{Offset: p.start()}
		token, err := p.dec.Token()
		if err != nil {
			return list, index, err
		}
		m.Name = token.(string) // the decoder allows nothing else here
		at := Pointer(path, m.Name)
		if _, again := index[m.Name]; again {
			p.report.Add(m.Offset, at, "stands here a second time")
		}
		index[m.Name] = len(list)
		if m.Value, err = p.value(at, depth+1); err != nil {
			return list, index, err
		}
		list = append(list, m)
	}
	_, err := p.dec.Token()
	return list, index, err
}

// pointer appends a name to a JSON pointer (RFC 6901).
func Pointer(path, name string) string {
	if strings.ContainsAny(name, "~/") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	}
	return path + "/" + name
}

// plain is the value as encoding/json would give it, numbers kept exact.
func (n *Node) Plain() any {
	switch v := n.Value.(type) {
	case []*Node:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i].Plain()
		}
		return list
	case []Member:
		object := make(map[string]any, len(v))
		for _, m := range v {
			object[m.Name] = m.Value.Plain()
		}
		return object
	}
	return n.Value
}

// member is the member of an object by its name, or nil.
func (n *Node) Member(name string) *Member {
	members, _ := n.Value.([]Member)
	if i, ok := n.index[name]; ok {
		return &members[i]
	}
	return nil
}

// find goes down from a value by names and indexes, as far as they lead, and
// tells the path that it went.
func (n *Node) Find(location []string) (path string, at *Node) {
	for _, name := range location {
		inner := n.Child(name)
		if inner == nil {
			break
		}
		path, n = Pointer(path, name), inner
	}
	return path, n
}

// offsetOf is where in the text that stands which [node.find] finds.
func (n *Node) OffsetOf(location []string) int {
	for _, name := range location {
		inner := n.Child(name)
		if inner == nil {
			break
		}
		n = inner
	}
	return n.Offset
}

// child is a member of an object or an item of an array, or nil.
func (n *Node) Child(name string) *Node {
	switch v := n.Value.(type) {
	case []Member:
		if m := n.Member(name); m != nil {
			return m.Value
		}
	case []*Node:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// kind names the value's type the way JSON does.
func (n *Node) Kind() string { return KindOf(n.Value) }

func KindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		return "number"
	case []*Node, []any:
		return "array"
	case []Member, map[string]any:
		return "object"
	}
	return fmt.Sprintf("%T", value)
}

// maxShown is how much of a text an error quotes, in bytes.
const maxShown = 60

// show is what an error says of a value: the text of a string, the kind of
// anything else.
func (n *Node) Show() string {
	if s, ok := n.Value.(string); ok {
		return Quoted(s)
	}
	return n.Kind()
}

func Quoted(s string) string {
	if len(s) > maxShown {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:maxShown], ""))
	}
	return fmt.Sprintf("%q", s)
}
