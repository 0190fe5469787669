package md

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestCurrent: the members that count, after one or the other was away.
func TestCurrent(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	member := func(number int, events uint64, updated time.Time, roles ...Role) Member {
		return Member{Array: Array{Level: 1, Places: 2}, Number: number, Events: events, Updated: updated, Roles: roles}
	}
	filling := func(m Member) Member {
		m.Features |= recoveryOffset
		return m
	}
	both, alone0, alone1 := []Role{0, 1}, []Role{0, Faulty}, []Role{Faulty, 1}
	for name, test := range map[string]struct {
		members []Member
		want    []int
	}{
		"none":                         {nil, nil},
		"one":                          {[]Member{member(1, 5, early, both...)}, []int{0}},
		"both":                         {[]Member{member(0, 5, early, both...), member(1, 5, early, both...)}, []int{0, 1}},
		"power was cut":                {[]Member{member(0, 5, early, both...), member(1, 6, early, both...)}, []int{0, 1}},
		"the first was away":           {[]Member{member(0, 5, early, both...), member(1, 9, late, alone1...)}, []int{1}},
		"the second was away":          {[]Member{member(0, 9, late, alone0...), member(1, 5, early, both...)}, []int{0}},
		"it was away for one change":   {[]Member{member(0, 6, late, alone0...), member(1, 5, early, both...)}, []int{0}},
		"each was alone":               {[]Member{member(0, 9, early, alone0...), member(1, 9, late, alone1...)}, []int{1}},
		"each was alone, one for long": {[]Member{member(0, 90, early, alone0...), member(1, 9, late, alone1...)}, []int{0}},
		"two of one number":            {[]Member{member(0, 5, late, both...), member(0, 5, early, both...)}, []int{0}},
		"one was replaced":             {[]Member{member(0, 9, late, 0, Faulty, 1), member(1, 9, early, both...), member(2, 9, late, 0, Faulty, 1)}, []int{0, 2}},
		"only a spare":                 {[]Member{member(1, 9, late, 0, Spare)}, nil},
		"a spare was written last":     {[]Member{member(0, 5, early, both...), member(2, 9, late, 0, 1, Spare)}, []int{0}},
		"one was being filled":         {[]Member{filling(member(1, 9, late, both...)), member(0, 9, early, both...)}, []int{0, 1}},
		"it is ahead by one":           {[]Member{filling(member(1, 9, late, both...)), member(0, 8, early, both...)}, []int{0, 1}},
		"the good one is away":         {[]Member{filling(member(1, 9, late, both...))}, nil},
		"the good one went on alone":   {[]Member{filling(member(1, 9, late, both...)), member(0, 20, early, alone0...)}, []int{1}},
	} {
		if got := Current(test.members); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// TestDisks: if two disks differ, one of them counts as a whole.
func TestDisks(t *testing.T) {
	member := func(number int, events uint64, alone bool) Member {
		m := Member{Array: Array{Level: 1, Places: 2}, Number: number, Events: events, Updated: time.Unix(1000, 0), Roles: []Role{0, 1}}
		if alone {
			m.Roles[1-number] = Faulty
		}
		return m
	}
	pair := func(first, second uint64) []Member { return []Member{member(0, first, true), member(1, second, true)} }
	same := []Member{member(0, 5, false), member(1, 5, false)}
	spare := member(1, 0, false)
	spare.Roles = []Role{0, Spare}
	for name, test := range map[string]struct {
		disks  Disks
		latest int
		want   [][]int
	}{
		"the same":                      {Disks{same, same}, -1, [][]int{{0, 1}, {0, 1}}},
		"the second was away":           {Disks{pair(9, 5), pair(9, 5)}, 0, [][]int{{0}, {0}}},
		"each is ahead in one":          {Disks{pair(5, 9), pair(9, 5)}, 1, [][]int{{1}, {1}}},
		"only the lighter one differs":  {Disks{same, pair(9, 5)}, 0, [][]int{{0, 1}, {0}}},
		"the heavier one is on no disk": {Disks{{{}, {}}, pair(5, 9)}, 1, [][]int{nil, {1}}},
		"one has one member":            {Disks{{member(0, 5, false), {}}, pair(5, 9)}, 1, [][]int{{0}, {1}}},
		"the latest has a spare":        {Disks{pair(5, 9), {member(0, 5, true), spare}}, 1, [][]int{{1}, {0}}},
		"one disk":                      {Disks{{member(1, 5, false)}, {member(1, 5, false)}}, -1, [][]int{{0}, {0}}},
	} {
		if got := test.disks.Latest(); got != test.latest {
			t.Errorf("%s: the disk that counts is %d, want %d", name, got, test.latest)
		}
		for a, want := range test.want {
			if got := test.disks.Current(a); !slices.Equal(got, want) {
				t.Errorf("%s: of array %d got %v, want %v", name, a, got, want)
			}
		}
	}
}

// TestReplacement: it can be written, and counts for nothing beside the one that stays.
func TestReplacement(t *testing.T) {
	const size = 8 << 20
	members, err := Mirror(Identity{ID: uuid.New(), Name: "node1:root", Created: time.Unix(1000, 0).UTC(), Devices: []uuid.UUID{uuid.New(), uuid.New()}}, []int64{size, size})
	if err != nil {
		t.Fatal(err)
	}
	for n, stays := range members {
		stays.Roles[1-n] = Faulty
		id := uuid.New()
		made := stays.Replacement(id, size)
		var b image
		if err := Write(&b, size, made); err != nil {
			t.Fatal(err)
		}
		got, err := Read(bytes.NewReader(append(b, make([]byte, size-len(b))...)), size)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != stays.ID || got.Device != id || got.Number != 1-n || got.Role() != Spare || got.Events >= stays.Events || got.Size != stays.Size {
			t.Errorf("beside %s, the replacement is %s", stays, got)
		}
		if current := Current([]Member{got, stays}); !slices.Equal(current, []int{1}) {
			t.Errorf("of the replacement and the member that stays, %v count", current)
		}
	}
}

// image is a device in memory.
type image []byte

func (b *image) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(*b) {
		*b = append(*b, make([]byte, need-len(*b))...)
	}
	return copy((*b)[off:], p), nil
}
