package site

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"cloudlets/images/bytesize"

	"github.com/tailscale/hujson"
)

// maxProblems bounds how many mistakes of one object are told: a person mends a
// few at a time.
const maxProblems = 20

// field reads one key's value into a T and says what is wrong with it.
type field[T any] func(dst *T, n *node) []FileError

// decodeObject reads an object by the table of its keys. It reads on after a
// mistake, so that a person sees them all at once.
func decodeObject[T any](dst *T, n *node, table map[string]field[T]) []FileError {
	if n.kind != '{' {
		return []FileError{n.problem("want an object {…}, have %s", n.describe())}
	}
	var problems []FileError
	for _, m := range n.members {
		if len(problems) >= maxProblems {
			break
		}
		read, known := table[m.name]
		if !known {
			hint := didYouMean(m.name, slices.Collect(maps.Keys(table)))
			problems = append(problems, m.problem("unknown key %q%s", m.name, hint))
			continue
		}
		problems = append(problems, read(dst, m.value)...)
	}
	return problems
}

// kinded guards a reader by the kind of value that it wants.
func kinded[T any](want string, kinds string, read func(dst *T, v hujson.Literal) error) field[T] {
	return func(dst *T, n *node) []FileError {
		if !slices.Contains([]byte(kinds), byte(n.kind)) {
			return []FileError{n.problem("want %s, have %s", want, n.describe())}
		}
		if err := read(dst, n.literal); err != nil {
			return []FileError{n.problem("%s", err)}
		}
		return nil
	}
}

// textField reads a text by way of set, which may refuse it.
func textField[T any](set func(dst *T, text string) error) field[T] {
	return kinded("a text in quotes", `"`, func(dst *T, v hujson.Literal) error {
		return set(dst, v.String())
	})
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
	return kinded("true or false", "tf", func(dst *T, v hujson.Literal) error {
		set(dst, v.Bool())
		return nil
	})
}

// sizeField reads a number of bytes, or text such as "16GiB".
func sizeField[T any](to func(dst *T) *int64) field[T] {
	return kinded(`a number of bytes, or text such as "16GiB"`, `0"`, func(dst *T, v hujson.Literal) error {
		text := v.String()
		if v.Kind() == '0' {
			if _, err := strconv.ParseInt(text, 10, 64); err != nil {
				return errors.New("want a whole number of bytes, or text such as \"16GiB\"")
			}
		}
		size, err := bytesize.Parse(text)
		*to(dst) = size
		return err
	})
}

// objectField reads an object by its own table.
func objectField[T, U any](to func(dst *T) *U, table map[string]field[U]) field[T] {
	return func(dst *T, n *node) []FileError { return decodeObject(to(dst), n, table) }
}

// listField reads a list of texts.
func listField[T any](add func(dst *T, text string) error) field[T] {
	one := textField(add)
	return func(dst *T, n *node) []FileError {
		if n.kind != '[' {
			return []FileError{n.problem("want a list […] of texts, have %s", n.describe())}
		}
		var problems []FileError
		for _, element := range n.elements {
			problems = append(problems, one(dst, element)...)
		}
		return problems
	}
}

// ignored accepts a text for the reader of the file alone.
func ignored[T any]() field[T] {
	return textField(func(*T, string) error { return nil })
}

func checkPlain(text string) error {
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			return errors.New("control characters and line breaks are not allowed here")
		}
	}
	return nil
}
