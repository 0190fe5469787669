// Package keys says what the keys of a site's files mean: how each is read, what does not go
// together, and what the reference says of it. It makes a [provision.Spec] of what counts for
// one machine, [Settings] of cloudlets.json, and rules of those of a profile. It reads JSON
// that is parsed, and no files: which file extends which is decided by package site.
package keys

import (
	"maps"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// Key is one key of the site's files, as their reader knows it.
type Key struct {
	// Path is the key with those that it is in: "disk.minSize". After a list it has
	// brackets: "networks[].pool".
	Path string
	// Type says what the value is, Text what it means, in one sentence.
	Type, Text string
	// Default is what counts without the key: JSON, or words.
	Default string
	// Example is a value, as JSON.
	Example string
	// Keys are those of the object that the value is, or of each object in it.
	Keys []Key

	// read reads an object that has the key with the reader of the files.
	read func(object *jsontext.Node) (any, jsontext.Problems)
}

// about is what the reference says of a key, except for its name.
type about struct {
	kind, text, byDefault, example string
	keys                           func(path string) []Key
}

// OfMachine are the keys of machine files and profiles, sorted.
func OfMachine() []Key { return machineFields().keys(newSpec("52:54:00:12:34:56"))("") }

// OfSettings are the keys of cloudlets.json, sorted.
func OfSettings() []Key { return settingsFields("/srv/site").keys(Settings{})("") }

// keys lists the keys. An object that is read begins as fresh is.
func (t fields[T]) keys(fresh T) func(path string) []Key {
	return func(path string) []Key {
		var all []Key
		for _, name := range slices.Sorted(maps.Keys(t)) {
			a := t[name].about
			key := Key{Path: path + name, Type: a.kind, Text: a.text, Default: a.byDefault, Example: a.example}
			key.read = func(object *jsontext.Node) (any, jsontext.Problems) {
				value := fresh
				problems := decodeObject(&value, object, t)
				return value, problems
			}
			if a.keys != nil {
				key.Keys = a.keys(key.Path + ".")
			}
			all = append(all, key)
		}
		return all
	}
}

// inList lists the keys of the objects in a list.
func (t fields[T]) inList() func(path string) []Key {
	var fresh T
	return func(path string) []Key { return t.keys(fresh)(strings.TrimSuffix(path, ".") + "[].") }
}

// newSpec is what counts of a machine whose file says nothing.
func newSpec(mac provision.MAC) provision.Spec {
	return provision.Spec{MAC: mac, Filesystem: "ext4", Retry: provision.DefaultRetry}
}
