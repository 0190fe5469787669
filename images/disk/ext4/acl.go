package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The value of an extended attribute with an access control list is a version and
// entries of eight bytes: tag, permissions, id. On disk the list has another
// version, and entries that need no id do not store one.
const (
	aclXattrVersion = 2
	aclDiskVersion  = 1
	aclHeader       = 4
	aclEntry        = 8
	aclShort        = 4
)

// Tags of entries.
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

var errACL = errors.New("its access control list is malformed")

// encodeACL converts the value of system.posix_acl_access or _default to ext4's
// form.
func encodeACL(value string) ([]byte, error) {
	b := []byte(value)
	if len(b) < aclHeader || (len(b)-aclHeader)%aclEntry != 0 {
		return nil, fmt.Errorf("%w: it has %d bytes", errACL, len(b))
	}
	if v := binary.LittleEndian.Uint32(b); v != aclXattrVersion {
		return nil, fmt.Errorf("%w: it is of version %d, not %d", errACL, v, aclXattrVersion)
	}
	out := binary.LittleEndian.AppendUint32(nil, aclDiskVersion)
	for b = b[aclHeader:]; len(b) > 0; b = b[aclEntry:] {
		switch tag := binary.LittleEndian.Uint16(b); tag {
		case aclUserObj, aclGroupObj, aclMask, aclOther:
			out = append(out, b[:aclShort]...)
		case aclUser, aclGroup:
			out = append(out, b[:aclEntry]...)
		default:
			return nil, fmt.Errorf("%w: it has an entry of the unknown kind %#x", errACL, tag)
		}
	}
	return out, nil
}
