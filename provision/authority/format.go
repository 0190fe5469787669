package authority

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
)

const pemType = "CERTIFICATE"

// PEM is a certificate as text (RFC 7468).
func PEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: c.Raw})
}

// Fingerprint is the digest of a certificate, "sha256:…".
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// GUIDs as UEFI writes them: the first three parts have their lowest byte first.
var (
	// listOfX509 is EFI_CERT_X509_GUID, a5c059a1-94e4-4aa7-87b5-ab155c2bf072.
	listOfX509 = [16]byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}
	// owner is this program, 0b7c2a4e-5d1f-4c86-9a3b-e2f06d8c1457. Firmware shows
	// whose a certificate is by it.
	owner = [16]byte{0x4e, 0x2a, 0x7c, 0x0b, 0x1f, 0x5d, 0x86, 0x4c, 0x9a, 0x3b, 0xe2, 0xf0, 0x6d, 0x8c, 0x14, 0x57}
)

// Owner is the GUID of this program in a [SignatureList], as people write it.
const Owner = "0b7c2a4e-5d1f-4c86-9a3b-e2f06d8c1457"

// SignatureList is an EFI_SIGNATURE_LIST with one certificate (UEFI 2.10, 32.4.1).
// Firmware, and QEMU's fw_cfg, take it as what to trust.
func SignatureList(c *x509.Certificate) []byte {
	const header = 16 + 3*4
	size := uint32(len(owner) + len(c.Raw))
	list := append([]byte{}, listOfX509[:]...)
	list = binary.LittleEndian.AppendUint32(list, header+size)
	list = binary.LittleEndian.AppendUint32(list, 0) // the list has no header of its own
	list = binary.LittleEndian.AppendUint32(list, size)
	list = append(list, owner[:]...)
	return append(list, c.Raw...)
}
