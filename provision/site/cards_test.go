package site_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/provision"
)

// The network cards of the tests' machines, beside mac1 and mac2.
const (
	card1 provision.MAC = "52:54:00:00:01:01"
	card2 provision.MAC = "52:54:00:00:01:02"
)

func TestAnyCardIsTheMachine(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"machines/" + mac1 + ".json": fmt.Sprintf(`{"macs": ["52-54-00-00-01-02", %q, %q, %q], "hostname": "one"}`, mac1, card1, card1),
		"machines/" + mac2 + ".json": `{}`,
	}))
	if got := problems(s); got != "" {
		t.Fatal(got)
	}
	if got := spec(t, s, mac1).Cards; !slices.Equal(got, []provision.MAC{card1, card2}) {
		t.Errorf("the further cards are %s", got)
	}
	for card, want := range map[provision.MAC]provision.MAC{card1: mac1, card2: mac1, mac1: mac1, mac2: mac2, "52:54:00:00:09:09": "52:54:00:00:09:09"} {
		if got := s.Machine(card); got != want {
			t.Errorf("the card %s is of %s, want %s", card, got, want)
		}
	}
	if _, ok := s.Spec(card1); ok {
		t.Error("a card is a machine of its own")
	}
}

// TestACardOfTwoMachines: the file that had the card keeps it, and the problem names
// both files.
func TestACardOfTwoMachines(t *testing.T) {
	file1, file2 := "machines/"+mac1+".json", "machines/"+strings.ReplaceAll(mac2, ":", "-")+".json"
	lists := fmt.Sprintf(`{"macs": [%q]}`, card1)
	dir := folder(t, map[string]string{file2: lists})
	s := open(t, dir)
	write(t, dir, file1, lists)
	s.Reload()
	if got, want := problems(s), file1+":1:10: network card "+string(card1)+" is that of "+mac2+" already, see "+file2; !strings.Contains(got, want) {
		t.Errorf("got\n%swant %s", got, want)
	}
	if got := s.Machine(card1); got != mac2 {
		t.Errorf("the card went to %s", got)
	}
	if _, ok := s.Spec(mac1); ok {
		t.Error("a machine has a file that was never good")
	}

	// A file may give a card away, and another may take it at the same time.
	write(t, dir, file2, `{}`)
	s.Reload()
	if got := s.Machine(card1); got != mac1 || problems(s) != "" {
		t.Errorf("the card is of %s: %s", got, problems(s))
	}
}

// TestACardWithItsOwnFile: a file's name counts more than another file's list, so that
// the order of changes does not matter.
func TestACardWithItsOwnFile(t *testing.T) {
	file1, own := "machines/"+mac1+".json", "machines/"+string(card1)+".json"
	dir := folder(t, map[string]string{file1: fmt.Sprintf(`{"hostname": "one", "macs": [%q, %q]}`, card1, card2)})
	s := open(t, dir)
	write(t, dir, own, `{"hostname": "other"}`)
	s.Reload()
	if got, want := problems(s), file1+":1:29: network card "+string(card1)+" is that of "+string(card1)+" already, see "+own; !strings.Contains(got, want) {
		t.Errorf("got\n%swant %s", got, want)
	}
	if got := s.Machine(card1); got != card1 || spec(t, s, card1).Hostname != "other" {
		t.Errorf("the card is of %s", got)
	}
	if got := s.Machine(card2); got != mac1 || spec(t, s, mac1).Hostname != "one" {
		t.Errorf("the other card is of %s", got)
	}
	if err := os.Remove(filepath.Join(dir, own)); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if got := s.Machine(card1); got != mac1 || problems(s) != "" {
		t.Errorf("after its own file is gone, the card is of %s: %s", got, problems(s))
	}
}

func TestUUIDOfAMachine(t *testing.T) {
	const text, swapped = "4c4c4544-0042-3510-8052-b4c04f564433", "44454C4C-4200-1035-8052-B4C04F564433"
	file1, file2 := "machines/"+mac1+".json", "machines/"+mac2+".json"
	dir := folder(t, map[string]string{file1: fmt.Sprintf(`{"uuid": %q}`, text)})
	s := open(t, dir)
	if got, ok := s.ByUUID(provision.UUIDOf(swapped)); !ok || got != mac1 {
		t.Errorf("the UUID is that of %q", got)
	}
	if got, ok := s.ByUUID(""); ok {
		t.Errorf("no UUID is that of %q", got)
	}
	write(t, dir, file2, fmt.Sprintf(`{"uuid": %q}`, swapped))
	s.Reload()
	if got, want := problems(s), file2+":1:10: UUID"; !strings.Contains(got, want) || !strings.Contains(got, "is that of "+mac1+" already, see "+file1) {
		t.Errorf("got\n%swant %s", got, want)
	}
	write(t, dir, file2, `{"uuid": "03000200-0400-0500-0006-000700080009"}`)
	s.Reload()
	if got, want := problems(s), file2+":1:10: read the UUID 03000200-0400-0500-0006-000700080009: many boards have this one"; !strings.Contains(got, want) {
		t.Errorf("got\n%swant %s", got, want)
	}
}
