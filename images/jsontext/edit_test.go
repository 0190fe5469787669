package jsontext_test

import (
	"testing"

	"cloudlets/images/jsontext"
)

func TestMembersAreSetAndCommentsStay(t *testing.T) {
	set := []jsontext.Setting{{"image", "web"}, {"hostname", "node41"}}
	for text, want := range map[string]string{
		"{}":                     "{\n  \"image\": \"web\",\n  \"hostname\": \"node41\"\n}",
		"{\"image\": \"old\"}\n": "{\"image\": \"web\",\n  \"hostname\": \"node41\"\n}\n",
		"{\n  // the first\n  \"image\": /* was old */ \"old\" // rack 3\n}": "{\n  // the first\n  \"image\": /* was old */ \"web\", // rack 3\n  \"hostname\": \"node41\"\n}",
		"// top\n{\n  \"a\": 1, // one\n  // last\n}\n":                      "// top\n{\n  \"a\": 1, // one\n  // last\n  \"image\": \"web\",\n  \"hostname\": \"node41\",\n}\n",
		"{\n  // nothing yet\n}":                                             "{\n  // nothing yet\n  \"image\": \"web\",\n  \"hostname\": \"node41\"\n}",
	} {
		got, err := jsontext.SetMembers("x.json", []byte(text), set...)
		if err != nil || string(got) != want {
			t.Errorf("%q became\n%s\n(%v), want\n%s", text, got, err, want)
		}
	}
	for _, text := range []string{"[]", "{", `"x"`, ""} {
		if got, err := jsontext.SetMembers("x.json", []byte(text), set...); err == nil {
			t.Errorf("%q became %s", text, got)
		}
	}
}
