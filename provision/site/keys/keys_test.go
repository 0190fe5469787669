package keys

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"cloudlets/images/jsontext"
	"cloudlets/images/manifest"
)

// TestReferenceIsTrue: each key says what it means, its example is read without a
// mistake by its own reader, and a default that is JSON is what counts without the key.
func TestReferenceIsTrue(t *testing.T) {
	for file, keys := range map[string][]Key{"a machine's file": OfMachine(), "cloudlets.json": OfSettings()} {
		if len(keys) == 0 {
			t.Errorf("%s has no keys", file)
		}
		for _, key := range keys {
			checkKey(t, file, key)
		}
	}
}

func checkKey(t *testing.T, file string, key Key) {
	t.Helper()
	what := file + ": " + key.Path
	if key.Type == "" || !strings.HasSuffix(key.Text, ".") {
		t.Errorf("%s: %q, %q: want a type and a sentence", what, key.Type, key.Text)
	}
	name := key.Path[strings.LastIndexByte(key.Path, '.')+1:]
	read := func(value string) any {
		object, problems := jsontext.Parse("example", []byte(`{"`+name+`": `+value+`}`))
		if len(problems) == 0 && strings.Contains(key.Path, "config.") { // its values have a reader of their own
			_, problems = manifest.ReadConfig(object)
		}
		var have any
		if len(problems) == 0 {
			have, problems = key.read(object)
		}
		if len(problems) > 0 {
			t.Errorf("%s: %s: %v", what, value, problems.Err())
		}
		return have
	}
	with := read(key.Example)
	none, _ := jsontext.Parse("nothing", []byte("{}"))
	without, _ := key.read(none)
	if reads := name != "description" && name != "extends" && name != "wipe" && key.Path != "rules" && !strings.Contains(key.Path, "config."); reads && reflect.DeepEqual(with, without) {
		t.Errorf("%s: with the example %s nothing is otherwise than without it", what, key.Example)
	}
	if json.Valid([]byte(key.Default)) {
		if got := read(key.Default); !sameJSON(got, without) {
			t.Errorf("%s: with its default %s it is read as %+v, and without as %+v", what, key.Default, got, without)
		}
	}
	for _, inner := range key.Keys {
		checkKey(t, file, inner)
	}
}

// sameJSON says whether two values are the same, where an empty list is as none.
func sameJSON(a, b any) bool {
	one, err := json.Marshal(a)
	two, err2 := json.Marshal(b)
	empty := strings.NewReplacer("[]", "null", "{}", "null")
	return err == nil && err2 == nil && empty.Replace(string(one)) == empty.Replace(string(two))
}
