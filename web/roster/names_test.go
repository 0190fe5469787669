package roster

import (
	"slices"
	"testing"
)

func TestExpandNames(t *testing.T) {
	for name, want := range map[string][]string{
		"node1":            {"node1"},
		"node[1-3,7]":      {"node1", "node2", "node3", "node7"},
		"n[09-11].example": {"n09.example", "n10.example", "n11.example"},
		"r[1-2]u[8-9]":     {"r1u8", "r1u9", "r2u8", "r2u9"},
	} {
		if got, err := ExpandNames([]string{name}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, bad := range []string{"node[", "node[]", "node[a-b]", "node[3-1]", "node[1-]", "node[1-99999999]", "a[1-200]b[1-200]"} {
		if got, err := ExpandNames([]string{bad}); err == nil {
			t.Errorf("%s: got %d names", bad, len(got))
		}
	}
}

func TestFilterByTag(t *testing.T) {
	f := filter{tag: "db"}
	if !f.selects(&entry{tags: []string{"a", "db"}}) || f.selects(&entry{tags: []string{"dbx"}}) || f.selects(&entry{}) {
		t.Error("the tag does not select the machines that have it")
	}
}
