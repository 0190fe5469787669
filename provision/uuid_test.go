package provision

import (
	"fmt"
	"testing"
	"time"
)

func TestUUIDsInEitherByteOrderAreTheSame(t *testing.T) {
	want, err := ParseUUID("4c4c4544-0042-3510-8052-b4c04f564433")
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{"44454c4c-4200-1035-8052-b4c04f564433", "4C4C4544-0042-3510-8052-B4C04F564433", "4c4c4544004235108052b4c04f564433"} {
		if got, err := ParseUUID(same); got != want || err != nil {
			t.Errorf("%s is %s, want %s (%v)", same, got, want, err)
		}
	}
	if other := UUIDOf("4c4c4544-0042-3510-8052-b4c04f564434"); other == want || other == "" {
		t.Errorf("another machine's UUID is %q", other)
	}
}

func TestUUIDsOfManyBoardsAreNone(t *testing.T) {
	for _, text := range []string{
		"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE",
		"03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009", "00010203-0405-0607-0809-0a0b0c0d0e0f",
		"03020100-0504-0706-0809-0a0b0c0d0e0f", "12345678-1234-5678-90ab-cddeefaabbcc", "11111111-2222-3333-0000-000000000000",
		"", "no UUID", "4c4c4544-0042-3510-8052-b4c04f5644", "Not Settable",
	} {
		if got, err := ParseUUID(text); err == nil {
			t.Errorf("%q is taken for the UUID %s", text, got)
		}
	}
}

// TestCardsOfAStateAreBounded: anyone on the network can make up cards.
func TestCardsOfAStateAreBounded(t *testing.T) {
	var s State
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 200 {
		s = Fold(s, Event{
			MAC: "52:54:00:00:00:01", Card: MAC(fmt.Sprintf("52:54:00:00:01:%02x", i)), Kind: KindDHCP, Time: begin.Add(time.Duration(i) * time.Second),
			Facts: map[string]string{"uuid": "4c4c4544-0042-3510-8052-b4c04f564433"},
		})
	}
	if len(s.Cards) != maxCards {
		t.Errorf("%d cards are kept", len(s.Cards))
	}
	if _, kept := s.Cards["52:54:00:00:01:c7"]; !kept {
		t.Error("the latest card is not kept")
	}
}

func TestInventoryNamesAllCards(t *testing.T) {
	facts := Inventory{UUID: "03000200-0400-0500-0006-000700080009", Interfaces: []InterfaceInfo{
		{MAC: "52:54:00:00:00:02"}, {MAC: "52:54:00:00:00:01"}, {MAC: "52:54:00:00:00:02"}, {MAC: "00:00:00:00:00:00"},
	}}.Facts()
	if got, want := facts["macs"], "52:54:00:00:00:01 52:54:00:00:00:02"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, there := facts["uuid"]; there {
		t.Errorf("the UUID of many boards is told: %s", got)
	}
}
