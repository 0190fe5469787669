package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Pin is what a person armed, as the server saw it that was asked. Files may be edited
// after that, and of several servers that share a store one may have an older copy:
// nothing is written that nobody meant.
type Pin struct {
	// Order is the [Spec.Order] of the machine's file.
	Order string `json:"order"`
	// Pack is the digest of the image's pack, "sha256:…", or "" if the server had
	// not made it yet.
	Pack string `json:"pack,omitempty"`
}

// Order is a digest of all that a machine's file says of which disk is written, and
// with what. It begins with a version of what it is made of.
func (s *Spec) Order() string {
	text, err := json.Marshal(struct {
		Image, EntryPoint, Filesystem string
		Disk                          DiskHints
		SecureBoot                    SecureBoot
		// The orders of machines without these stay as they were before there were these.
		Slots      int   `json:",omitempty"`
		Mirror     bool  `json:",omitempty"`
		Persistent int64 `json:",omitempty"`
	}{s.Image, s.EntryPoint, s.Filesystem, s.Disk, s.SecureBoot, s.Slots, s.Mirror, s.Persistent})
	if err != nil {
		panic(err) // these types can be marshalled
	}
	sum := sha256.Sum256(text)
	return orderVersion + hex.EncodeToString(sum[:])
}

const orderVersion = "2:"

// CheckOrder returns why a machine must not be installed by a spec that is not the
// one for which it was armed.
func (p *Pin) CheckOrder(spec *Spec) error {
	if p == nil || p.Order == spec.Order() {
		return nil
	}
	if !strings.HasPrefix(p.Order, orderVersion) {
		return fmt.Errorf("it was armed with another version of cloudlets, which noted in another way what the file says: `cloudlets install %s` arms it again", spec.MAC)
	}
	file := spec.File()
	if spec.Rules != nil { // what they set depends on what is known of the machine
		file += ", with the rules of its profiles,"
	}
	return fmt.Errorf("%s named another image, disk or filesystem when the install was armed than it does now on this server: `cloudlets install %s` arms what it names now; if several servers share a store, make their copies of the site the same", file, spec.MAC)
}

// CheckPack returns why a machine must not be installed with a pack that is not the
// one for which it was armed.
func (p *Pin) CheckPack(spec *Spec, digest string) error {
	if p == nil || p.Pack == "" || p.Pack == digest {
		return nil
	}
	return fmt.Errorf("the image %s has other content now on this server (%.19s) than when the install was armed (%.19s): `cloudlets install %s` arms the content that it has now; if several servers share a store, make their copies of the image the same", spec.Image, digest, p.Pack, spec.MAC)
}
