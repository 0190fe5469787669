package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cloudlets/images/bytesize"
	"cloudlets/images/jsontext"
)

// maxProblems bounds how many mistakes of one object are told: a person mends a
// few at a time.
const maxProblems = 20

// reader reads a value into a T and says what is wrong with it.
type reader[T any] func(dst *T, n *jsontext.Node) jsontext.Problems

// field is one key of an object: how its value is read, and what the reference says
// of it.
type field[T any] struct {
	read  reader[T]
	about about
}

// fields has the keys of an object by their names. The reader, the suggestions for keys
// that are unknown, and the reference are all made from it.
type fields[T any] map[string]field[T]

// says adds what the reference says of a key: its meaning in one sentence, its default,
// and an example. A default that is JSON is one that a person can write with the same
// effect; else it is words.
func (f field[T]) says(text, byDefault, example string) field[T] {
	f.about.text, f.about.byDefault, f.about.example = text, byDefault, example
	return f
}

// valueField reads a value by a reader of its own. kind says for people what it accepts.
func valueField[T any](kind string, read reader[T]) field[T] {
	return field[T]{read, about{kind: kind}}
}

// with adds to a key the keys of the object, or of the objects, that its value is.
func (f field[T]) with(keys func(path string) []Key) field[T] {
	f.about.keys = keys
	return f
}

// decodeObject reads an object by the table of its keys. It reads on after a
// mistake, so that a person sees them all at once.
func decodeObject[T any](dst *T, n *jsontext.Node, table fields[T]) (problems jsontext.Problems) {
	if !n.IsObject() {
		return Wants(n, "an object {…}")
	}
	for _, m := range n.Members() {
		if len(problems) >= maxProblems {
			break
		}
		key, known := table[m.Name]
		if !known {
			hint := jsontext.DidYouMean(m.Name, slices.Collect(maps.Keys(table)))
			problems = append(problems, m.Place().Problem("unknown key %q%s", m.Name, hint))
			continue
		}
		problems = append(problems, key.read(dst, m.Value)...)
	}
	return problems
}

// Wants is the problem of a value that is of another kind than what says, "a list […] of
// texts". It shows what the value is instead.
func Wants(n *jsontext.Node, what string) jsontext.Problems {
	return jsontext.Problems{n.Problem("want %s, have %s", what, n.Show())}
}

// refused is the problem of a value that a reader refused, if it did.
func refused(n *jsontext.Node, err error) jsontext.Problems {
	if err == nil {
		return nil
	}
	return jsontext.Problems{n.Problem("%s", err)}
}

// textField reads a text by way of set, which may refuse it.
func textField[T any](set func(dst *T, text string) error) field[T] {
	return valueField("text", func(dst *T, n *jsontext.Node) jsontext.Problems {
		text, ok := n.Text()
		if !ok {
			return Wants(n, "a text in quotes")
		}
		return refused(n, set(dst, text))
	})
}

// choiceField reads one of the texts that there are. An empty choice is accepted and not
// shown.
func choiceField[T any](set func(dst *T, text string), choices ...string) field[T] {
	f := textField(func(dst *T, text string) error {
		set(dst, text)
		return oneOf(text, choices...)
	})
	f.about.kind = wordList(shownChoices(choices))
	return f
}

// plainText reads any text that holds no control characters.
func plainText[T any](to func(dst *T) *string) field[T] {
	return textField(func(dst *T, text string) error {
		*to(dst) = text
		return checkPlain(text)
	})
}

// boolField reads true or false.
func boolField[T any](set func(dst *T, v bool)) field[T] {
	return valueField("true or false", func(dst *T, n *jsontext.Node) jsontext.Problems {
		v, ok := n.Bool()
		if !ok {
			return Wants(n, "true or false")
		}
		set(dst, v)
		return nil
	})
}

// numberField reads a number by way of set, which may refuse it.
func numberField[T any](what string, set func(dst *T, number json.Number) error) field[T] {
	return valueField(what, func(dst *T, n *jsontext.Node) jsontext.Problems {
		number, ok := n.Number()
		if !ok {
			return Wants(n, what)
		}
		return refused(n, set(dst, number))
	})
}

// sizeField reads a number of bytes, or text such as "16GiB".
func sizeField[T any](to func(dst *T) *int64) field[T] {
	return valueField("bytes, or text with a unit", func(dst *T, n *jsontext.Node) (problems jsontext.Problems) {
		text, isText := n.Text()
		number, isNumber := n.Number()
		var err error
		switch {
		case isText:
			*to(dst), err = bytesize.Parse(text)
		case isNumber:
			*to(dst), err = wholeBytes(number)
		default:
			return Wants(n, `a number of bytes, or text such as "16GiB"`)
		}
		return refused(n, err)
	})
}

func wholeBytes(number json.Number) (int64, error) {
	if _, err := strconv.ParseInt(number.String(), 10, 64); err != nil {
		return 0, errors.New(`want a whole number of bytes, or text such as "16GiB"`)
	}
	return bytesize.Parse(number.String())
}

// objectField reads an object by its own table.
func objectField[T, U any](to func(dst *T) *U, table fields[U]) field[T] {
	var empty U
	return valueField("object", func(dst *T, n *jsontext.Node) jsontext.Problems { return decodeObject(to(dst), n, table) }).with(table.keys(empty))
}

// listField reads a list of texts.
func listField[T any](add func(dst *T, text string) error) field[T] {
	one := textField(add)
	return valueField("list of texts", func(dst *T, n *jsontext.Node) (problems jsontext.Problems) {
		if !n.IsArray() {
			return Wants(n, "a list […] of texts")
		}
		for _, element := range n.Elements() {
			problems = append(problems, one.read(dst, element)...)
		}
		return problems
	})
}

// anything accepts a value that is read elsewhere.
func anything[T any](*T, *jsontext.Node) jsontext.Problems { return nil }

// description accepts a text for the people who read the file.
func description[T any]() field[T] {
	return textField(func(*T, string) error { return nil }).says("For the people who read the file; the server ignores it.", `""`, `"the first row, left side"`)
}

func checkPlain(text string) error {
	if hasControl(text) {
		return errors.New("control characters and line breaks are not allowed here")
	}
	return nil
}

func hasControl(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0
}

// oneOf refuses a text that is none of the choices. An empty choice is
// accepted and not shown.
func oneOf(text string, choices ...string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	shown := shownChoices(choices)
	return fmt.Errorf("want %s, have %q%s", wordList(shown), text, jsontext.DidYouMean(text, shown))
}

func shownChoices(choices []string) []string {
	return slices.DeleteFunc(slices.Clone(choices), func(c string) bool { return c == "" })
}

// wordList is `"a", "b" or "c"`.
func wordList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
