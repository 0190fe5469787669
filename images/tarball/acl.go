package tarball

import (
	"archive/tar"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"cloudlets/images"
)

// Records of extended headers that hold access control lists as text, and the
// attributes in which Linux keeps them.
const (
	accessRecord  = "SCHILY.acl.access"
	defaultRecord = "SCHILY.acl.default"
	nfs4Record    = "SCHILY.acl.ace"
	accessXattr   = "system.posix_acl_access"
	defaultXattr  = "system.posix_acl_default"
)

// Tags of the entries of an access control list, in the list's order
// (linux/posix_acl_xattr.h).
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

// noID is the ID of an entry that is not for a certain user or group.
const noID = 1<<32 - 1

type aclEntry struct {
	tag, rights uint16
	id          uint32
}

// acl is an access control list, sorted by tags and IDs.
type acl []aclEntry

// setACLs reads the access control lists of an extended header. A list that
// cannot be translated is an error: the group bits of a mode are the mask of the
// list, so without the list the owning group would get the mask's rights.
func setACLs(h *tar.Header, e *images.Entry) error {
	if h.PAXRecords[nfs4Record] != "" {
		return errors.New("has an NFSv4 access control list, which Linux does not have: make the tarball without them, as with \"bsdtar --no-acls\"")
	}
	if text := h.PAXRecords[accessRecord]; text != "" && e.Type != images.Symlink {
		if err := setAccessACL(text, e); err != nil {
			return fmt.Errorf("has the access control list %.80q: %w", text, err)
		}
	}
	if text := h.PAXRecords[defaultRecord]; text != "" && e.Type == images.Directory {
		list, err := parseACL(text)
		if err != nil {
			return fmt.Errorf("has the default access control list %.80q: %w", text, err)
		}
		setXattr(e, defaultXattr, list.encode())
	}
	return nil
}

// setAccessACL gives a file a list and the mode that goes with it. A list that
// says no more than a mode is not kept.
func setAccessACL(text string, e *images.Entry) error {
	list, err := parseACL(text)
	if err != nil {
		return err
	}
	e.Mode = e.Mode&^0o777 | list.mode()
	if delete(e.Xattrs, accessXattr); len(list) > 3 {
		setXattr(e, accessXattr, list.encode())
	}
	return nil
}

func setXattr(e *images.Entry, name, value string) {
	if e.Xattrs == nil {
		e.Xattrs = map[string]string{}
	}
	e.Xattrs[name] = value
}

// parseACL reads a list in its text form (POSIX.1e draft 17, section 23.3.1).
// The entries are separated by commas or lines. A fourth field, of star and
// libarchive, is the ID that belongs to a name.
func parseACL(text string) (acl, error) {
	var list acl
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == 0 }) {
		line, _, _ = strings.Cut(line, "#") // a comment
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		e, err := parseACLEntry(strings.Split(strings.TrimPrefix(line, "default:"), ":"))
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b aclEntry) int { return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.id, b.id)) })
	return list, list.check()
}

var errACL = errors.New("it is damaged: make the tarball again, or without access control lists")

// parseACLEntry reads "user:name:rwx:id". Solaris writes "mask:rwx".
func parseACLEntry(fields []string) (aclEntry, error) {
	if len(fields) == 2 && (fields[0] == "mask" || fields[0] == "other") {
		fields = []string{fields[0], "", fields[1]}
	}
	if len(fields) < 3 || len(fields) > 4 {
		return aclEntry{}, errACL
	}
	e := aclEntry{id: noID}
	obj, ok := map[string][2]uint16{
		"user": {aclUserObj, aclUser}, "u": {aclUserObj, aclUser}, "group": {aclGroupObj, aclGroup}, "g": {aclGroupObj, aclGroup},
		"mask": {aclMask, 0}, "m": {aclMask, 0}, "other": {aclOther, 0}, "o": {aclOther, 0},
	}[fields[0]]
	if !ok {
		return e, errACL
	}
	e.tag = obj[0]
	if name := fields[1]; name != "" {
		id := name
		if len(fields) == 4 && fields[3] != "" {
			id = fields[3]
		}
		n, err := strconv.ParseUint(id, 10, 32)
		switch {
		case obj[1] == 0 || err == nil && n > maxID:
			return e, errACL
		case err != nil && name != "root":
			return e, fmt.Errorf("it says %q only by name: make the tarball with numbers, as \"tar --xattrs --xattrs-include='*'\" and bsdtar do", name)
		}
		e.tag, e.id = obj[1], uint32(n)
	}
	var err error
	e.rights, err = parseRights(fields[2])
	return e, err
}

// parseRights reads "r-x".
func parseRights(text string) (rights uint16, err error) {
	for _, r := range strings.TrimSpace(text) {
		switch r {
		case 'r':
			rights |= 4
		case 'w':
			rights |= 2
		case 'x':
			rights |= 1
		case '-':
		default:
			return 0, errACL
		}
	}
	return rights, nil
}

// check refuses lists that the kernel refuses (posix_acl_valid).
func (l acl) check() error {
	count := map[uint16]int{}
	for i, e := range l {
		if i > 0 && l[i-1].tag == e.tag && l[i-1].id == e.id {
			return errACL
		}
		count[e.tag]++
	}
	needsMask := count[aclUser]+count[aclGroup] > 0
	if count[aclUserObj] != 1 || count[aclGroupObj] != 1 || count[aclOther] != 1 || needsMask && count[aclMask] != 1 {
		return errACL
	}
	return nil
}

// maxSolarisACL bounds the content of an entry that is a list, in bytes.
const maxSolarisACL = 64 << 10

// readSolarisACL reads the list of the next entry: the number of its entries and
// its kind in octal digits, a zero byte, and the text.
func (x *indexer) readSolarisACL(content io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(content, maxSolarisACL))
	if err != nil {
		return err
	}
	digits, text, _ := strings.Cut(string(data), "\x00")
	kind, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || kind&^0o777777 != posixACL {
		return unknownType(solarisACL)
	}
	x.nextACL = strings.TrimRight(text, "\x00")
	return nil
}

// posixACL is the kind of a list of Solaris that has the standard's entries.
const posixACL = 0o1000000

// giveSolarisACL gives an entry the list that came before it.
func (x *indexer) giveSolarisACL(h *tar.Header) {
	if x.nextACL == "" {
		return
	}
	if h.PAXRecords == nil {
		h.PAXRecords = map[string]string{}
	}
	h.PAXRecords[accessRecord], x.nextACL = x.nextACL, ""
}

// mode is the mode that a file with this list has: the mask, if there is one,
// takes the place of the group's rights.
func (l acl) mode() uint32 {
	var mode uint32
	for _, e := range l {
		switch e.tag {
		case aclUserObj:
			mode |= uint32(e.rights) << 6
		case aclGroupObj:
			mode |= uint32(e.rights) << 3
		case aclMask:
			mode = mode&^0o070 | uint32(e.rights)<<3
		case aclOther:
			mode |= uint32(e.rights)
		}
	}
	return mode
}

// encode is the list as the kernel takes it.
func (l acl) encode() string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range l {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.rights)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}
