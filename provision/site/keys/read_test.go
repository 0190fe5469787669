package keys_test

import (
	"fmt"
	"strings"
	"testing"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

const (
	mac1 = "52:54:00:00:00:01"
	// machineFile is the file of the machine mac1.
	machineFile = "machines/" + mac1 + ".json"
	// siteFolder is where the files of the tests would be.
	siteFolder = "/srv/site"
)

// machine reads the file of the machine mac1, over the texts of profiles.
func machine(text string, profiles ...string) (provision.Spec, jsontext.Problems) {
	var merged *jsontext.Node
	for _, profile := range profiles {
		root, problems := jsontext.ParseWithComments("profiles/p.json", []byte(profile))
		if len(problems) > 0 {
			return provision.Spec{}, problems
		}
		merged = jsontext.Merge(merged, root)
	}
	root, problems := jsontext.ParseWithComments(machineFile, []byte(text))
	if len(problems) > 0 {
		return provision.Spec{}, problems
	}
	spec, problems := keys.DecodeSpec(mac1, jsontext.Merge(merged, root))
	return spec, problems.Tidy()
}

// goodMachine is the machine of a file without mistakes.
func goodMachine(t *testing.T, text string, profiles ...string) provision.Spec {
	t.Helper()
	spec, problems := machine(text, profiles...)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", text, problems)
	}
	return spec
}

// settings reads a cloudlets.json.
func settings(text string) (keys.Settings, jsontext.Problems) {
	root, problems := jsontext.ParseWithComments("cloudlets.json", []byte(text))
	if len(problems) > 0 {
		return keys.Settings{}, problems
	}
	s, problems := keys.DecodeSettings(siteFolder, root)
	return s, problems.Tidy()
}

// goodSettings are those of a cloudlets.json without mistakes.
func goodSettings(t *testing.T, text string) keys.Settings {
	t.Helper()
	s, problems := settings(text)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", text, problems)
	}
	return s
}

// lines are problems, one to a line.
func lines(problems jsontext.Problems) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}
