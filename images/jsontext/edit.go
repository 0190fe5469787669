package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tailscale/hujson"
)

// Setting is a name of an object with its value, which encoding/json can write.
type Setting struct {
	Name  string
	Value any
}

// SetMembers returns the text of an object with members set: those that are there get
// a new value, and others are added at the end. All comments stay.
func SetMembers(name string, text []byte, members ...Setting) ([]byte, error) {
	if _, problems := ParseWithComments(name, text); len(problems) > 0 {
		return nil, problems.Err()
	}
	root, err := hujson.Parse(bytes.TrimPrefix(text, []byte(byteOrderMark)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	object, is := root.Value.(*hujson.Object)
	if !is {
		return nil, fmt.Errorf("change %s: want an object {…} in it", name)
	}
	for _, m := range members {
		if err := setMember(object, m); err != nil {
			return nil, fmt.Errorf("change %q in %s: %w", m.Name, name, err)
		}
	}
	return root.Pack(), nil
}

func setMember(object *hujson.Object, m Setting) error {
	text, err := json.Marshal(m.Value)
	if err != nil {
		return err
	}
	value, err := hujson.Parse(text)
	if err != nil {
		return err
	}
	for i := range object.Members {
		if object.Members[i].Name.Value.(hujson.Literal).String() == m.Name {
			object.Members[i].Value.Value = value.Value
			return nil
		}
	}
	// What stands behind the last member, such as a comment, stays there. Extra behind
	// a last value means that a comma follows it.
	added := hujson.ObjectMember{Name: hujson.Value{Value: hujson.String(m.Name)}, Value: value}
	added.Name.BeforeExtra = append(bytes.TrimRight(bytes.Clone(object.AfterExtra), " \t\r\n"), "\n  "...)
	added.Value.BeforeExtra = hujson.Extra(" ")
	if n := len(object.Members); n > 0 && object.Members[n-1].Value.AfterExtra != nil {
		added.Value.AfterExtra = hujson.Extra{}
	}
	object.AfterExtra = hujson.Extra("\n")
	object.Members = append(object.Members, added)
	return nil
}
