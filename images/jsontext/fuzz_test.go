package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// FuzzParse reads any bytes in both ways. What strict JSON is, encoding/json
// decodes to the same values; what strict JSON allows, comments do not change;
// and each problem and each value is at a place in the text.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"a": [1, -2.5e3, "x\u00e9\ud800", true, null, {}], "b": {"c": []}}`, "// x\n[1, /* y */ 2,]", "\ufeff{}", `{"a": 1, "a": 2}`,
		"[1e999]", "\xff", "[[[[", "1 2", "/*", "//", `"\`, "[ , ]", "{\"a\" : 1 , }", "-", "nul", "[1]//x", "\"\u2028\"", "//\u2028\n1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		strict, refused := Parse("f", text)
		loose, alsoRefused := ParseWithComments("f", text)
		for _, p := range append(refused, alsoRefused...) {
			checkInText(t, p, string(text))
		}
		if refused == nil {
			want, err := decode(text)
			if err != nil || !reflect.DeepEqual(strict.Plain(), want) {
				t.Fatalf("%q is %#v, and for encoding/json %#v, %v", text, strict.Plain(), want, err)
			}
			if alsoRefused != nil || !reflect.DeepEqual(loose.Plain(), want) {
				t.Fatalf("%q is strict, and with comments %v", text, alsoRefused)
			}
			checkPlaces(t, strict, string(text), nil)
		}
		if alsoRefused == nil {
			checkPlaces(t, loose, strings.TrimPrefix(string(text), byteOrderMark), nil)
		}
	})
}

// decode is what encoding/json makes of a text that holds one value.
func decode(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows")
	}
	return value, nil
}

func checkInText(t *testing.T, p Problem, text string) {
	lines := strings.Split(text, "\n")
	if p.Line < 0 || p.Line > len(lines) || p.Line > 0 && (p.Column < 1 || p.Column > len(lines[p.Line-1])+1) {
		t.Errorf("%v is not in %q", p, text)
	}
	if p.Reason == "" {
		t.Errorf("%+v of %q has no reason", p, text)
	}
}

// checkPlaces finds each value again: at its place in the text, and by the path
// that its place has.
func checkPlaces(t *testing.T, n *Node, text string, names []string) {
	if path := n.Place().Path(); path != pointers(names) {
		t.Errorf("%q: the path of %q is %q", text, names, path)
	}
	first := map[string]string{"an object": "{", "an array": "[", "a string": `"`, "null": "n"}[n.Kind()]
	if !strings.HasPrefix(text[n.offset:], first) {
		t.Errorf("%q: %s at %d", text, n.Kind(), n.offset)
	}
	for i, element := range n.Elements() {
		checkPlaces(t, element, text, append(names, strconv.Itoa(i)))
	}
	for _, m := range n.Members() {
		inner := append(names, m.Name)
		if path := m.Place().Path(); path != pointers(inner) {
			t.Errorf("%q: the path of the name %q is %q", text, inner, path)
		}
		checkPlaces(t, m.Value, text, inner)
	}
}

func pointers(names []string) (path string) {
	for _, name := range names {
		path = pointer(path, name)
	}
	return path
}
