package site

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

// Whatever the bytes of a machine file and of its profile: no panic; what is
// reported lies in the file that is named; and a file that is good says the
// same when it is written as plain JSON and read again.
func FuzzMachineFile(f *testing.F) {
	f.Add(`{"image": "debian", "extends": "p", "config": {"args": {"a": [1, {"b": null}]}}}`, `{"wipe": true}`)
	f.Add("{\n// c\n\"disk\": {\"minSize\": \"1GB\", \"maxSize\": 5e3,},}", `{"extends": "p"}`)
	f.Add("\uFEFF{\"hostname\": \"\\ud800\", \"address\": \"10.0.0.1\"}", `[]`)
	f.Add(`{"extends": ["p", "p", "q"], "quirks": {"oneStep": 1}, "x": 2, "x": 2}`, "{")
	f.Add(`{"extends": "p"}`, `{"rules": [{"when": {"disks": 2}, "set": {"disk": {"minSize": 1}, "tags": ["x"]}}, {"when": {"disks": "1"}, "set": {"x": 1}}]}`)
	f.Fuzz(func(t *testing.T, machine, profile string) {
		root, problems := jsontext.ParseWithComments("p", []byte(profile))
		r := &siteReader{
			profiles: map[string]*document{"p": newProfile("p", root, problems)},
			facts:    func(provision.MAC) map[string]string { return map[string]string{"disks": "2"} },
		}
		r.checkProfiles(newView())
		c, merged, wrong := r.decodeMachine("52:54:00:00:00:01", parseDocument("m", machine))
		r.report(wrong...)
		if c.broken && len(wrong) == 0 {
			t.Error("a broken file, and no word why")
		}
		for _, p := range r.problems.Tidy() {
			checkPlace(t, p, map[string]string{"m": machine, "p": profile}[p.File])
		}
		if !c.broken {
			checkRoundTrip(t, c, merged)
		}
	})
}

func parseDocument(file, text string) *document {
	root, problems := jsontext.ParseWithComments(file, []byte(text))
	return newDocument(file, root, problems)
}

func checkPlace(t *testing.T, p jsontext.Problem, text string) {
	lines := strings.Split(strings.TrimPrefix(text, "\uFEFF"), "\n")
	if p.Line < 0 || p.Line > len(lines) || p.Line > 0 && (p.Column < 1 || p.Column > len(lines[p.Line-1])+1) {
		t.Errorf("%v is not in the file", p)
	}
	if p.Reason == "" {
		t.Errorf("%v has no reason", p)
	}
}

func checkRoundTrip(t *testing.T, c machineFile, merged *jsontext.Node) {
	text, err := json.Marshal(merged.Plain())
	if err != nil || !json.Valid(text) {
		t.Fatalf("written again: %s, %v", text, err)
	}
	root, problems := jsontext.ParseWithComments("again", text)
	if len(problems) > 0 {
		t.Fatalf("%s read again: %v", text, problems)
	}
	again, problems := keys.DecodeSpec(c.spec.MAC, jsontext.Merge(nil, root))
	again.Profiles, again.Rules = c.spec.Profiles, c.spec.Rules // which are merged into the text
	first, _ := json.Marshal(c.spec)
	second, _ := json.Marshal(again)
	if len(problems) > 0 || !bytes.Equal(first, second) {
		t.Errorf("read again: %s, %v; want %s", second, problems, first)
	}
}
