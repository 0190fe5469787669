package jsontext

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Node is a JSON value that knows where it was written. It is never changed.
type Node struct {
	doc    *document
	offset int
	value  any            // nil, bool, string, json.Number, []*Node or []Member
	index  map[string]int // of an object's members, by name
}

// Member is one name of an object, and its value.
type Member struct {
	Name   string
	Value  *Node
	offset int // of the name, in the document of the value
}

// Members are those of an object, in the order in which they are written; nil
// for anything else.
func (n *Node) Members() []Member {
	members, _ := n.value.([]Member)
	return members
}

// Member is the member of an object by its name.
func (n *Node) Member(name string) (Member, bool) {
	i, ok := n.index[name]
	if !ok {
		return Member{}, false
	}
	return n.Members()[i], true
}

// Elements are those of an array; nil for anything else.
func (n *Node) Elements() []*Node {
	elements, _ := n.value.([]*Node)
	return elements
}

// Child is the value of an object's member by its name, or an element of an
// array by its index in decimal. It is nil where there is none.
func (n *Node) Child(name string) *Node {
	if m, ok := n.Member(name); ok {
		return m.Value
	}
	elements := n.Elements()
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(elements) {
		return elements[i]
	}
	return nil
}

// Text is the value of a string.
func (n *Node) Text() (text string, ok bool) {
	text, ok = n.value.(string)
	return text, ok
}

// Number is a number as it is written.
func (n *Node) Number() (number json.Number, ok bool) {
	number, ok = n.value.(json.Number)
	return number, ok
}

// Bool is the value of true and false.
func (n *Node) Bool() (value, ok bool) {
	value, ok = n.value.(bool)
	return value, ok
}

// IsNull says that the value is null.
func (n *Node) IsNull() bool { return n.value == nil }

// IsObject says that the value is an object.
func (n *Node) IsObject() bool { _, ok := n.value.([]Member); return ok }

// IsArray says that the value is an array.
func (n *Node) IsArray() bool { _, ok := n.value.([]*Node); return ok }

// Plain is the value as encoding/json decodes it with UseNumber: no number is
// rounded.
func (n *Node) Plain() any {
	switch v := n.value.(type) {
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
	return n.value
}

// Kind names the type of the value: "an object", "a string", "null".
func (n *Node) Kind() string {
	switch n.value.(type) {
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []*Node:
		return "an array"
	case []Member:
		return "an object"
	}
	return "null"
}

// Show is what a problem says of a value that is no secret: a string, number
// or boolean as it is, anything else by its kind.
func (n *Node) Show() string {
	switch v := n.value.(type) {
	case string:
		return Quoted(v)
	case bool, json.Number:
		return fmt.Sprint(v)
	}
	return n.Kind()
}

// maxShown is how much of a text a problem quotes, in bytes.
const maxShown = 60

// Quoted is a text in quotes, cut where it is long.
func Quoted(s string) string {
	if len(s) > maxShown {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:maxShown], ""))
	}
	return fmt.Sprintf("%q", s)
}

// Merge lays one value over another by RFC 7396: objects are merged name by
// name, null takes a name away, and anything else replaces what was there. A
// nil base is nothing at all. What comes out knows where each value was
// written, in either document.
func Merge(base, over *Node) *Node {
	if !over.IsObject() {
		return over
	}
	merged := &Node{doc: over.doc, offset: over.offset}
	var members []Member
	if base != nil {
		members = slices.Clone(base.Members())
	}
	index := indexOf(members)
	for _, m := range over.Members() {
		if i, known := index[m.Name]; known {
			m.Value = Merge(members[i].Value, m.Value)
			members[i] = m
		} else {
			m.Value = Merge(nil, m.Value)
			members = append(members, m)
		}
	}
	members = slices.DeleteFunc(members, func(m Member) bool { return m.Value.IsNull() })
	merged.value, merged.index = members, indexOf(members)
	return merged
}

func indexOf(members []Member) map[string]int {
	index := make(map[string]int, len(members))
	for i, m := range members {
		index[m.Name] = i
	}
	return index
}

// Without returns an object without one of its members.
func (n *Node) Without(name string) *Node {
	at, has := n.index[name]
	if !has {
		return n
	}
	members := slices.Delete(slices.Clone(n.Members()), at, at+1)
	return &Node{doc: n.doc, offset: n.offset, value: members, index: indexOf(members)}
}

// Concat returns a list of the elements of two lists. It stands where the second one does.
func Concat(first, second *Node) *Node {
	return &Node{doc: second.doc, offset: second.offset, value: slices.Concat(first.Elements(), second.Elements())}
}

// With returns an object in which a member that it has has another value.
func (n *Node) With(name string, value *Node) *Node {
	at, has := n.index[name]
	if !has {
		return n
	}
	members := slices.Clone(n.Members())
	members[at].Value, members[at].offset = value, value.offset
	return &Node{doc: n.doc, offset: n.offset, value: members, index: n.index}
}

// MapTexts returns a value in which change has replaced each text, also those in lists and
// objects. A text that is another one now stands at a place that is given, since it is not
// written where it was made from.
func (n *Node) MapTexts(at Place, change func(text string) string) *Node {
	switch v := n.value.(type) {
	case string:
		if text := change(v); text != v {
			return &Node{doc: at.doc, offset: at.offset, value: text}
		}
	case []*Node:
		elements := make([]*Node, len(v))
		for i, element := range v {
			elements[i] = element.MapTexts(at, change)
		}
		return &Node{doc: n.doc, offset: n.offset, value: elements}
	case []Member:
		members := slices.Clone(v)
		for i, m := range members {
			if value := m.Value.MapTexts(at, change); value != m.Value {
				members[i].Value, members[i].offset = value, value.offset
			}
		}
		return &Node{doc: n.doc, offset: n.offset, value: members, index: n.index}
	}
	return n
}
