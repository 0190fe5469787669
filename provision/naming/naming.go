// Package naming fills patterns for names and addresses: "r3-{n:02}", "10.0.3.{n+10}",
// "node-{port}". Groups of machines, rules for strangers and tables of machines have this
// one language.
//
// A part in braces is a name, whose value takes its place. A value that is a number can
// be counted up or down, {n+10} or {n-1}, and be written with leading zeros, {n:02} or
// {n+10:03}. Two braces, {{ or }}, stand for one.
package naming

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/images/lazyregexp"
)

// Pattern is a text with parts that are filled in.
type Pattern struct {
	text  string
	parts []part
}

// part is a text that stands, or the name of a value.
type part struct {
	literal string
	name    string
	add     int
	width   int
	numeric bool // the value must be a number
}

// placeholder is what may stand between braces. Six digits are more than any number here
// has.
var placeholder = lazyregexp.New(`^([a-zA-Z]+)([+-][0-9]{1,6})?(?::0([1-9]))?$`)

// Parse reads a pattern.
func Parse(text string) (Pattern, error) {
	p := Pattern{text: text}
	literal := ""
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			literal += rest
			break
		}
		literal, rest = literal+rest[:i], rest[i:]
		if strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			literal, rest = literal+rest[:1], rest[2:]
			continue
		}
		end := strings.IndexByte(rest, '}')
		if rest[0] == '}' || end < 0 {
			return p, fmt.Errorf("%.80q has a brace without the other one; want a pattern such as \"r3-{n:02}\"", text)
		}
		found := placeholder().FindStringSubmatch(rest[1:end])
		if found == nil {
			return p, fmt.Errorf("%.40s is no part of a pattern; want a name in the braces, such as {n}, {n+10}, or {n:02} with leading zeros", rest[:end+1])
		}
		add, _ := strconv.Atoi(found[2]) // "" is 0
		width, _ := strconv.Atoi(found[3])
		p.parts = append(p.parts, part{literal: literal}, part{name: found[1], add: add, width: width, numeric: found[2] != "" || found[3] != ""})
		literal, rest = "", rest[end+1:]
	}
	p.parts = append(p.parts, part{literal: literal})
	return p, nil
}

// Check refuses a text that is no pattern, or that asks for a name that is not known.
func Check(text string, known ...string) error {
	p, err := Parse(text)
	if err != nil {
		return err
	}
	for _, part := range p.parts {
		if part.name != "" && !slices.Contains(known, part.name) {
			return fmt.Errorf("there is no {%s} here%s; there are {%s}", part.name, jsontext.DidYouMean(part.name, known), strings.Join(known, "}, {"))
		}
	}
	return nil
}

// Has says whether the pattern asks for a name.
func (p Pattern) Has(name string) bool {
	return slices.ContainsFunc(p.parts, func(part part) bool { return part.name == name })
}

// Fill returns the text with the values of the names in it. The error of value is
// returned as it is.
func (p Pattern) Fill(value func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for _, part := range p.parts {
		if part.name == "" {
			b.WriteString(part.literal)
			continue
		}
		text, err := value(part.name)
		if err == nil && part.numeric {
			text, err = part.number(text)
		}
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// number counts a number and writes it with leading zeros.
func (p part) number(text string) (string, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return "", fmt.Errorf("the %s is %.40q, which is no number to count with", p.name, text)
	}
	if n += p.add; n < 0 {
		return "", fmt.Errorf("{%s%+d} is below 0 where the %s is %s", p.name, p.add, p.name, text)
	}
	return fmt.Sprintf("%0*d", p.width, n), nil
}

// FillNumber fills a pattern in which only {n} has a value.
func FillNumber(text string, n int) (string, error) {
	if !strings.ContainsAny(text, "{}") {
		return text, nil
	}
	if err := Check(text, "n"); err != nil {
		return "", err
	}
	p, err := Parse(text)
	if err != nil {
		return "", err
	}
	return p.Fill(func(string) (string, error) { return strconv.Itoa(n), nil })
}

// SortKey is a text by which names are sorted, in capitals or not, with the numbers in them
// by their value: node2 comes before node10.
func SortKey(name string) string {
	var key strings.Builder
	for rest := strings.ToLower(name); rest != ""; {
		other := strings.TrimLeft(rest, "0123456789")
		if digits := rest[:len(rest)-len(other)]; digits != "" {
			value := strings.TrimLeft(digits, "0")
			key.WriteByte('0')
			key.WriteByte(byte(min(len(value), 0xff))) // a longer number is a larger one
			key.WriteString(value)
		}
		end := strings.IndexAny(other, "0123456789")
		if end < 0 {
			end = len(other)
		}
		key.WriteString(other[:end])
		rest = other[end:]
	}
	return key.String()
}
