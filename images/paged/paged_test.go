package paged_test

import (
	"strings"
	"testing"

	"cloudlets/images/paged"
)

func TestListKeepsPlaces(t *testing.T) {
	var l paged.List[int]
	var places []*int
	for i := range 3000 {
		places = append(places, l.Add(i))
	}
	for i, at := range places {
		if l.At(i) != at || *at != i {
			t.Fatalf("element %d is %d, and at another place", i, *l.At(i))
		}
	}
	if l.Len() != 3000 {
		t.Errorf("the list has %d elements of 3000", l.Len())
	}
}

func TestTexts(t *testing.T) {
	var texts paged.Texts
	kept := map[uint32]string{}
	for _, length := range []int{0, 1, 127, 128, 4095, 70, paged.MaxText, 0, paged.MaxText - 1, 5, 4095} {
		for _, letter := range []string{"a", "\x00", "é"} {
			s := strings.Repeat(letter, length/len(letter))
			kept[texts.Add(s)] = s
		}
	}
	if len(kept) != 33 {
		t.Fatalf("%d places for 33 texts", len(kept))
	}
	for place, want := range kept {
		if got := string(texts.At(place)); got != want {
			t.Errorf("at %d are %d bytes of %d, or others", place, len(got), len(want))
		}
	}
}
