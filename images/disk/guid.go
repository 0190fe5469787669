package disk

import (
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"

	"cloudlets/images/disk/slots"
)

// GUIDs holds the identifiers of a disk and its partitions in text form.
type GUIDs struct {
	Disk, BIOSBoot, ESP, Root, RootB, Persistent string
}

// complete fills in empty identifiers and brings the others to lower case.
func (g GUIDs) complete(seed string) (GUIDs, error) {
	for _, f := range []struct {
		name string
		id   *string
	}{{"disk", &g.Disk}, {"bios-boot", &g.BIOSBoot}, {"esp", &g.ESP}, {"root", &g.Root}, {slotName(slots.B), &g.RootB}, {persistentName, &g.Persistent}} {
		id, err := guid(*f.id, seed, f.name)
		if err != nil {
			return g, err
		}
		*f.id = id.String()
	}
	return g, nil
}

func guid(given, seed, name string) (uuid.UUID, error) {
	switch {
	case given != "":
		id, err := uuid.Parse(given)
		if err != nil || id == uuid.Nil {
			return id, fmt.Errorf("lay out disk: %q, given for %s, is not a GUID like \"0fc63daf-8483-4772-8e79-3d69d8477de4\"", given, name)
		}
		return id, nil
	case seed != "":
		return derivedGUID(seed, name), nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return id, fmt.Errorf("lay out disk: draw a GUID for %s: %w", name, err)
	}
	return id, nil
}

// derivedGUID derives a GUID from the seed and name. Its version is 8, for which
// RFC 9562, section 5.8, leaves the method to the implementation.
func derivedGUID(seed, name string) uuid.UUID {
	sum := sha256.Sum256([]byte("cloudlets disk\x00" + seed + "\x00" + name))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
