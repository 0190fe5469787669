package table

import (
	"encoding/binary"
	"hash/fnv"

	"cloudlets/dhcp"
)

// Members are the servers that share a network: its clients and the free addresses
// of its pools ([slots] of them) are divided among those that are alive. A client's member answers it
// at once, the others only if the client has waited in vain (RFC 3074, where that is
// the service delay).
//
// RFC 3074 hashes the client identifier, or else the hardware address, with
// Pearson's hash, and gives each server some of its 256 values by configuration.
// Here a client is its MAC, since firmware, loader and operating system of a machine
// send different identifiers. Rendezvous hashing says whose it is, which takes no
// configuration: when a member comes or goes, only its share moves.
//
// It returns the ID of this server, and those of all that are alive. If it is nil, this
// server is alone.
type Members func() (self string, live []string)

// Now returns the ID of this server, and those of all that are alive.
func (m Members) Now() (self string, live []string) {
	if m == nil {
		return "", nil
	}
	return m()
}

// slotKey makes the key of a slot of addresses one that is no client's.
const slotKey = 1 << 48

// ownerOf chooses the member that a key belongs to: the one with the largest hash
// of both.
func ownerOf(key uint64, live []string) (owner string) {
	var largest uint64
	for _, id := range live {
		h := fnv.New64a()
		h.Write([]byte(id))
		if weight := scramble(h.Sum64() ^ scramble(key)); owner == "" || weight > largest {
			owner, largest = id, weight
		}
	}
	return owner
}

// OwnerOfClient chooses the member that a client belongs to.
func OwnerOfClient(mac dhcp.Station, live []string) string {
	var key [8]byte
	copy(key[2:], mac[:])
	return ownerOf(binary.BigEndian.Uint64(key[:]), live)
}

// scramble makes each bit of a number depend on all others.
func scramble(n uint64) uint64 {
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}
