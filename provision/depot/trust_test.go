package depot

import "testing"

// TestTrustIsInTheRAMDisk: a server that has HTTPS makes a RAM disk of its own for
// each authority, and has the one from before again when HTTPS is switched off.
func TestTrustIsInTheRAMDisk(t *testing.T) {
	s := newSite(t)
	digests := map[string]string{}
	for _, trust := range []string{"", "authority 1", "authority 2", "authority 1", ""} {
		d := s.open(t, newJournal())
		if trust != "" {
			d.trust = []byte(trust)
		}
		stop := s.start(t, d)
		digest := mustKit(t, d, tiny).RAMDisk.Digest
		stop()
		if was, seen := digests[trust]; seen && was != digest {
			t.Errorf("with %q the RAM disk is another one than before", trust)
		}
		digests[trust] = digest
	}
	if digests[""] == digests["authority 1"] || digests["authority 1"] == digests["authority 2"] {
		t.Errorf("RAM disks that trust others are the same: %v", digests)
	}
}
