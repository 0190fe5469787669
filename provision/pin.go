package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Pin is what a person armed, as the server saw it that was asked. Several servers
// that share a store read copies of the site, and a copy may be older: none of them
// may write what nobody meant.
type Pin struct {
	// Order is the [Spec.Order] of the machine's file.
	Order string `json:"order"`
	// Pack is the digest of the image's pack, "sha256:…", or "" if the server had
	// not made it yet.
	Pack string `json:"pack,omitempty"`
}

// Order is a digest of all that a machine's file says of which disk is written, and
// with what.
func (s *Spec) Order() string {
	text, err := json.Marshal(struct {
		Image, EntryPoint, Filesystem string
		Disk                          DiskHints
		Wipe, SecureBoot              bool
		Owner                         bool `json:",omitempty"`
	}{s.Image, s.EntryPoint, s.Filesystem, s.Disk, s.Wipe, s.SecureBoot != "", s.SecureBoot == ByOwner})
	if err != nil {
		panic(err) // these types can be marshalled
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// CheckOrder returns why a machine must not be installed by a spec that is not the
// one for which it was armed.
func (p *Pin) CheckOrder(spec *Spec) error {
	if p == nil || p.Order == spec.Order() {
		return nil
	}
	return fmt.Errorf("%s named another image, disk or filesystem where the install was armed than it does on this server: make the servers' copies of the site the same, or arm the install again", spec.MAC.File())
}

// CheckPack returns why a machine must not be installed with a pack that is not the
// one for which it was armed.
func (p *Pin) CheckPack(spec *Spec, digest string) error {
	if p == nil || p.Pack == "" || p.Pack == digest {
		return nil
	}
	return fmt.Errorf("the image %s has other content on this server (%.19s) than where the install was armed (%.19s): make the servers' copies of the image the same, or arm the install again", spec.Image, digest, p.Pack)
}
