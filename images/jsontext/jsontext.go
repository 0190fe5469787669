// Package jsontext reads JSON that people write, and tells them where it is
// wrong. A [Node] knows the file, line and column that it was written at, also
// after [Merge] has laid several files over one another, so that whoever reads
// the values can make a [Problem] of any of them.
//
// Manifests and configurations are strict JSON ([Parse]). The files of a site
// may have comments and trailing commas ([ParseWithComments]).
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

	"github.com/tailscale/hujson"

	"cloudlets/images/lazyregexp"
)

// Bounds of a document.
const (
	// MaxSize is the longest text that is read, in bytes.
	MaxSize = 1 << 20
	// maxNesting is how many arrays and objects may be within one another:
	// reading them is recursive.
	maxNesting = 64
	// maxNumber is the longest number, in bytes. A library that computes
	// exactly takes gigabytes for a longer one.
	maxNumber = 100
)

const byteOrderMark = "\ufeff"

// Parse reads strict JSON: one value, as RFC 8259 has it. The name says in
// problems which document this is. Besides what is not JSON, Parse refuses
// what readers of JSON disagree about: a byte order mark, text that is not
// UTF-8, a name that an object has twice, and numbers beyond a float64.
//
// The node is there to be used only if there are no problems.
func Parse(name string, text []byte) (*Node, Problems) {
	if bytes.HasPrefix(text, []byte(byteOrderMark)) {
		return nil, Problems{{File: name, Line: 1, Column: 1, Reason: "begins with a byte order mark: save it as UTF-8 without one"}}
	}
	return parse(newDocument(name, text), text, false)
}

// ParseWithComments is [Parse] for files that a person keeps: comments and
// trailing commas are allowed, and a byte order mark is passed over.
func ParseWithComments(name string, text []byte) (*Node, Problems) {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	return parse(newDocument(name, text), text, true)
}

// FromGo makes nodes of a Go value that encoding/json can write. Problems with
// them have a path and no line, since there is no text to look at.
func FromGo(name string, value any) (*Node, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	n, problems := parse(&document{name: name}, text, false)
	return n, problems.Err()
}

func parse(doc *document, text []byte, comments bool) (*Node, Problems) {
	if problem, ok := unreadable(doc, text); ok {
		return nil, Problems{problem}
	}
	value, err := hujson.Parse(text)
	if err != nil {
		return nil, Problems{syntaxProblem(doc, err)}
	}
	b := builder{doc: doc, comments: comments}
	doc.root = b.node(value)
	return doc.root, b.problems()
}

// unreadable finds what would keep the parser from its work.
func unreadable(doc *document, text []byte) (Problem, bool) {
	whole := Problem{File: doc.name}
	if len(text) > MaxSize {
		whole.Reason = fmt.Sprintf("is %d bytes long, which is more than the %d allowed", len(text), MaxSize)
		return whole, true
	}
	if at := invalidUTF8(text); at < len(text) {
		return doc.at(at).Problem("is not UTF-8 text: save it as UTF-8"), true
	}
	if at := tooDeep(text); at < len(text) {
		return doc.at(at).Problem("is nested deeper than %d levels", maxNesting), true
	}
	return whole, false
}

// invalidUTF8 is the offset of the first byte that is not UTF-8, or the length.
func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

// tooDeep is the offset of the first bracket that is nested too deep, or the
// length. The parser knows no bound of its own.
func tooDeep(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringLength(text[i:]) - 1
		case '/':
			i += commentLength(text[i:]) - 1
		case '[', '{':
			if depth++; depth > maxNesting {
				return i
			}
		case ']', '}':
			depth--
		}
	}
	return len(text)
}

// stringLength is how long the string is that text begins with.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// commentLength is how long the comment is that text begins with. A slash that
// begins no comment is 1 long: the parser will refuse it.
func commentLength(text []byte) int {
	for _, mark := range [][2]string{{"//", "\n"}, {"/*", "*/"}} {
		inside, ok := bytes.CutPrefix(text, []byte(mark[0]))
		if !ok {
			continue
		}
		if end := bytes.Index(inside, []byte(mark[1])); end >= 0 {
			return len(mark[0]) + end + len(mark[1])
		}
		return len(text)
	}
	return 1
}

// syntaxProblem takes line and column from the parser's message.
func syntaxProblem(doc *document, err error) Problem {
	p := Problem{File: doc.name}
	if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &p.Line, &p.Column); scanErr != nil {
		p.Line, p.Column = 0, 0
	}
	if cause := errors.Unwrap(err); cause != nil {
		err = cause
	}
	reason := err.Error()
	if literal, ok := strings.CutPrefix(reason, "invalid literal: "); ok {
		reason = "there is no such value as " + Quoted(literal)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		reason = "it ends too early"
	}
	p.Reason = "is not JSON: " + reason
	return p
}

// builder turns the parser's tree into nodes.
type builder struct {
	doc      *document
	comments bool // are allowed, and trailing commas
	syntax   Problems
	wrong    []wrong
}

// wrong is a problem whose path is not known before the tree is complete.
type wrong struct {
	offset int
	reason string
}

func (b *builder) refuse(offset int, format string, args ...any) {
	b.wrong = append(b.wrong, wrong{offset, fmt.Sprintf(format, args...)})
}

// refuseSyntax notes the first thing that is not strict JSON.
func (b *builder) refuseSyntax(offset int, reason string) {
	if b.syntax == nil && !b.comments {
		b.syntax = Problems{b.doc.at(offset).Problem("is not JSON: %s", reason)}
	}
}

func (b *builder) problems() Problems {
	all := b.syntax
	for _, w := range b.wrong {
		all.Add(b.doc.at(w.offset), "%s", w.reason)
	}
	return all
}

func (b *builder) node(v hujson.Value) *Node {
	n := &Node{doc: b.doc, offset: v.StartOffset}
	b.extra(v.StartOffset-len(v.BeforeExtra), v.BeforeExtra)
	switch value := v.Value.(type) {
	case hujson.Literal:
		n.value = b.literal(v.StartOffset, value)
	case *hujson.Array:
		n.value = b.elements(value)
		b.extra(v.EndOffset-1-len(value.AfterExtra), value.AfterExtra)
	case *hujson.Object:
		n.value, n.index = b.members(value)
		b.extra(v.EndOffset-1-len(value.AfterExtra), value.AfterExtra)
	}
	b.extra(v.EndOffset, v.AfterExtra)
	return n
}

// name reads the name of a member.
func (b *builder) name(v hujson.Value) string {
	b.extra(v.StartOffset-len(v.BeforeExtra), v.BeforeExtra)
	b.extra(v.EndOffset, v.AfterExtra)
	literal := v.Value.(hujson.Literal)
	b.checkCharacters(v.StartOffset, literal)
	return unquote(literal)
}

// halves matches the escapes of a character outside of the 16-bit range, which
// is written as two halves (RFC 8259, section 7), and halves by themselves.
var halves = lazyregexp.New(`\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

// checkCharacters refuses half of a character, which no text in UTF-8 can hold.
func (b *builder) checkCharacters(offset int, literal hujson.Literal) {
	if bytes.IndexByte(literal, '\\') < 0 {
		return
	}
	for _, at := range halves().FindAllIndex(literal, -1) {
		if found := literal[at[0]:at[1]]; len(found) == len(`\ud800`) {
			b.refuse(offset, "has %s, which is half of a character: write both halves, or the character itself", found)
			return
		}
	}
}

// unquote is the text of a string. Most have no escape, and are cheap.
func unquote(literal hujson.Literal) string {
	if bytes.IndexByte(literal, '\\') < 0 {
		return string(literal[1 : len(literal)-1])
	}
	return literal.String()
}

// extra refuses comments in what stands between values.
func (b *builder) extra(offset int, between hujson.Extra) {
	if at := bytes.IndexByte(between, '/'); at >= 0 {
		b.refuseSyntax(offset+at, "comments are not allowed here")
	}
}

// trailingComma refuses the comma after the last value, which the parser marks
// by an AfterExtra that is not nil.
func (b *builder) trailingComma(last hujson.Value) {
	if last.AfterExtra != nil {
		b.refuseSyntax(last.EndOffset+len(last.AfterExtra), "a comma follows the last value")
	}
}

func (b *builder) literal(offset int, literal hujson.Literal) any {
	switch literal.Kind() {
	case '"':
		b.checkCharacters(offset, literal)
		return unquote(literal)
	case 't', 'f':
		return literal.Bool()
	case '0':
		if _, err := strconv.ParseFloat(string(literal), 64); err != nil || len(literal) > maxNumber {
			b.refuse(offset, "is a number out of range")
		}
		return json.Number(literal)
	}
	return nil
}

func (b *builder) elements(array *hujson.Array) []*Node {
	elements := make([]*Node, len(array.Elements))
	for i, element := range array.Elements {
		elements[i] = b.node(element)
	}
	if n := len(array.Elements); n > 0 {
		b.trailingComma(array.Elements[n-1])
	}
	return elements
}

func (b *builder) members(object *hujson.Object) ([]Member, map[string]int) {
	members := make([]Member, len(object.Members))
	index := make(map[string]int, len(object.Members))
	for i, m := range object.Members {
		name := b.name(m.Name)
		members[i] = Member{Name: name, Value: b.node(m.Value), offset: m.Name.StartOffset}
		if first, twice := index[name]; twice {
			line, _ := b.doc.position(members[first].offset)
			b.refuse(m.Name.StartOffset, "is written twice, first in line %d: remove one", line)
			continue
		}
		index[name] = i
	}
	if n := len(object.Members); n > 0 {
		b.trailingComma(object.Members[n-1].Value)
	}
	return members, index
}
