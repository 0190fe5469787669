package imagetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"cloudlets/images"
)

// ACL returns an access control list in the kernel's format. Each entry
// consists of a tag, permissions and an id.
func ACL(entries ...[3]uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return string(b)
}

// NoID is the id of an entry in an access control list that is not for a
// certain user or group.
const NoID = 1<<32 - 1

// CapNetRaw is cap_net_raw=ep, as setcap writes it.
const CapNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Everything returns a tree with one file of each kind.
func Everything() Memory {
	var m Memory
	root := m.Dir("/")
	root.Mode, root.UID, root.GID = 0o1751, 3, 4
	addTypes(&m)
	addContents(&m)
	addNames(&m)
	addXattrs(&m)
	return m
}

func addTypes(m *Memory) {
	m.Dir("/dev")
	for _, d := range []struct {
		name         string
		kind         images.Type
		major, minor uint32
	}{
		{"null", images.CharDevice, 1, 3}, {"sda", images.BlockDevice, 8, 0}, {"old", images.CharDevice, 255, 255},
		{"new", images.BlockDevice, 259, 1<<20 - 1}, {"minor", images.CharDevice, 5, 256}, {"major", images.CharDevice, 4095, 1},
	} {
		m.Add(images.Entry{Path: "/dev/" + d.name, Type: d.kind, Mode: 0o660, GID: 6, Major: d.major, Minor: d.minor})
	}
	m.Add(images.Entry{Path: "/dev/pipe", Type: images.FIFO, Mode: 0o622, Size: 7}) // a length means nothing here
	m.Link("/dev/null2", "/dev/null")
	m.File("/su", []byte("#!")).Mode = 0o6755
	m.Dir("/tmp").Mode = 0o1777
	for _, n := range []int{1, 59, 60, 61, 4095} {
		m.Symlink(fmt.Sprintf("/link%d", n), strings.Repeat("x", n))
	}
	m.Link("/symlink-again", "/link60")
	owned := m.File("/owned", nil)
	owned.UID, owned.GID = 4_000_000_000, 70_000
	for _, year := range []int{1905, 1969, 1970, 2038, 2039, 2110, 2309} {
		m.File(fmt.Sprintf("/year%d", year), nil).ModTime = time.Date(year, 12, 31, 23, 59, 59, 999999999, time.UTC)
	}
}

func addContents(m *Memory) {
	m.Dir("/c")
	for _, n := range []int{0, 1, 4095, 4096, 4097, 1 << 20, 3<<20 + 17} {
		m.File(fmt.Sprintf("/c/%d", n), bytes.Repeat([]byte("0123456789abcde"), n/15+1)[:n])
	}
	m.Link("/c/again", "/c/4097")
	m.Link("/c/and-again", "/c/again")
	m.Holes("/c/all-hole", 3<<20+5)
	m.Holes("/c/hole-first", 4<<20, 4<<20-1)
	m.Holes("/c/hole-last", 4<<20+4097, 0)
}

func addNames(m *Memory) {
	m.Dir("/n")
	for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("\xff", 254), "new\nline", "\x80\xfe", " ", "-rf", "ünï", "..."} {
		m.File("/n/"+name, []byte(name))
	}
	path := "/n"
	for i := range 40 {
		path += fmt.Sprintf("/deep%d", i)
		m.Dir(path)
	}
	m.Symlink(path+"/up", "../..")
}

func addXattrs(m *Memory) {
	m.Dir("/x").Xattrs = map[string]string{
		"system.posix_acl_default": ACL([3]uint32{1, 7, NoID}, [3]uint32{2, 5, 1000}, [3]uint32{4, 5, NoID}, [3]uint32{0x10, 7, NoID}, [3]uint32{0x20, 0, NoID}),
	}
	m.File("/x/ping", []byte("ELF")).Xattrs = map[string]string{"security.capability": CapNetRaw}
	m.File("/x/acl", nil).Xattrs = map[string]string{
		"system.posix_acl_access": ACL([3]uint32{1, 6, NoID}, [3]uint32{2, 4, 65534}, [3]uint32{4, 4, NoID}, [3]uint32{8, 6, 4_000_000_000}, [3]uint32{0x10, 6, NoID}, [3]uint32{0x20, 4, NoID}),
	}
	(*m)[len(*m)-1].Mode = 0o664
	m.File("/x/large", []byte("l")).Xattrs = map[string]string{"user.large": strings.Repeat("v", 3999)}
	many := map[string]string{"user.empty": "", "trusted.t": "\x00\x01", "security.selinux": "system_u:object_r:etc_t:s0\x00"}
	for i := range 40 {
		many[fmt.Sprintf("user.%d", i)] = strings.Repeat("w", i)
	}
	m.File("/x/many", nil).Xattrs = many
	m.Symlink("/x/link", "large").Xattrs = map[string]string{"trusted.on-a-link": "yes"}
	m.Add(images.Entry{Path: "/x/fifo", Type: images.FIFO, Mode: 0o600}).Xattrs = map[string]string{"trusted.fifo": strings.Repeat("f", 200)}
}
