package provision

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// UUID is a machine's SMBIOS UUID (System Information, type 1) in a form that can be
// compared: 32 hexadecimal digits in lower case, the same for both byte orders.
// Firmware disagrees on the order of the first three fields (RFC 4578, section 2.3, and
// SMBIOS 2.6, section 7.2.1), so of the two readings it is the one that sorts first. The
// zero value is no UUID, and is equal to no machine's.
type UUID string

// ParseUUID reads a UUID, with hyphens or without, in upper or lower case. It refuses
// those that makers of boards put into all of them, since they tell no machine from
// another.
func ParseUUID(text string) (UUID, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != 16 {
		return "", fmt.Errorf("parse %.60q as a UUID: want 32 hexadecimal digits, such as 4c4c4544-0042-3510-8052-b4c04f564433", text)
	}
	u := eitherOrder(raw)
	if u.isPlaceholder() {
		return "", fmt.Errorf("read the UUID %s: many boards have this one, so it tells no machine from another; use \"macs\"", text)
	}
	return u, nil
}

// eitherOrder is the same for both byte orders of a UUID.
func eitherOrder(raw []byte) UUID {
	swapped := slices.Clone(raw)
	slices.Reverse(swapped[0:4])
	slices.Reverse(swapped[4:6])
	slices.Reverse(swapped[6:8])
	return UUID(min(hex.EncodeToString(raw), hex.EncodeToString(swapped)))
}

// UUIDOf is [ParseUUID] for what machines say: it returns "" for what is no machine's
// own UUID.
func UUIDOf(text string) UUID {
	u, err := ParseUUID(text)
	if err != nil {
		return ""
	}
	return u
}

// placeholders are UUIDs that were found in many boards, in the form of [UUID].
var placeholders = []UUID{
	"00020003000400050006000700080009", // 03000200-0400-0500-0006-000700080009
	"123456781234567890abcddeefaabbcc", // 12345678-1234-5678-90ab-cddeefaabbcc
	"123456781234123412341234567890ab",
	"0123456789abcdef0123456789abcdef",
	"000102030405060708090a0b0c0d0e0f", // 03020100-0504-0706-0809-0a0b0c0d0e0f
}

// isPlaceholder says whether many boards have a UUID: it is one of those that are
// known, or all of it or its second half is one byte again and again.
func (u UUID) isPlaceholder() bool {
	half := string(u[16:])
	return half == strings.Repeat(half[:2], 8) || slices.Contains(placeholders, u)
}
