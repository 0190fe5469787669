package ext4

import "testing"

func TestNamesOfOneHashInTwoLeaves(t *testing.T) {
	leaf := func(hashes ...uint32) (list []dirent) {
		for _, h := range hashes {
			list = append(list, dirent{hash: nameHash{major: h}})
		}
		return list
	}
	got := leafIndex([][]dirent{leaf(2, 4), leaf(4, 6), leaf(8)}, 1)
	want := []indexEntry{{2, 1}, {4 | 1, 2}, {8, 3}} // 1: "goes on from the leaf before"
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("entry %d is %v, want %v", i, got[i], want[i])
		}
	}
}
