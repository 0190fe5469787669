//go:build linux

package device

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// stack is a device with everything on top of it: its partitions, and the devices that
// LVM, RAID, encryption and loop devices build from them.
type stack struct {
	host   Host
	loops  map[string][]string // names of loop devices by their backing file
	layers []layer
}

// layer is one block device of a stack.
type layer struct {
	name  string   // the kernel's name
	files []string // its names in /dev
	id    string   // its device number, e.g. "8:17"
}

// uses finds out what a device is used for. Uses that are not visible here, e.g. a
// mount in another namespace, are detected when the device is opened.
func (h Host) uses(name string) ([]Use, error) {
	loops, err := h.Loops()
	if err != nil {
		return nil, fmt.Errorf("find what uses it: %w", err)
	}
	s := &stack{host: h, loops: loops}
	dir := "block/" + name
	if whole := h.wholeOf(name); whole != "" {
		dir = "block/" + whole + "/" + name
	}
	held, err := s.add(name, dir)
	if err != nil {
		return nil, fmt.Errorf("find what uses it: %w", err)
	}
	mounts, err := s.mounts()
	if err != nil {
		return nil, err
	}
	swaps, err := s.swaps()
	return slices.Concat(mounts, swaps, held), err
}

// wholeOf returns the disk to which a partition belongs, or "" for a whole disk.
func (h Host) wholeOf(name string) string {
	disks, _ := h.names("block")
	for _, d := range disks {
		if d != name && h.has("block/"+d+"/"+name+"/partition") {
			return d
		}
	}
	return ""
}

// Loops returns the kernel's names of the loop devices, by the absolute paths of the files
// that they show.
func (h Host) Loops() (map[string][]string, error) {
	loops := map[string][]string{}
	names, err := h.names("block")
	for _, name := range names {
		if file := h.attribute("block/" + name + "/loop/backing_file"); file != "" {
			loops[file] = append(loops[file], name)
		}
	}
	return loops, err
}

// add adds a device and everything on top of it to the stack.
func (s *stack) add(name, dir string) (held []Use, err error) {
	if slices.ContainsFunc(s.layers, func(l layer) bool { return l.name == name }) {
		return nil, nil
	}
	l := layer{name: name, files: []string{devicePath(name)}, id: s.host.attribute(dir + "/dev")}
	if mapped := s.host.attribute(dir + "/dm/name"); mapped != "" {
		l.files = append(l.files, "/dev/mapper/"+mapped)
	}
	s.layers = append(s.layers, l)
	partitions, err := s.host.names(dir)
	if err != nil {
		return nil, err
	}
	for _, p := range partitions {
		if s.host.has(dir + "/" + p + "/partition") {
			more, err := s.add(p, dir+"/"+p)
			if err != nil {
				return nil, err
			}
			held = append(held, more...)
		}
	}
	more, err := s.addHolders(l, dir)
	return append(held, more...), err
}

// addHolders adds the devices that are built from a layer.
func (s *stack) addHolders(l layer, dir string) (held []Use, err error) {
	holders, err := s.host.names(dir + "/holders")
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Concat(holders, s.loops[l.files[0]]) {
		held = append(held, s.host.holding(l, name))
		more, err := s.add(name, "block/"+name)
		if err != nil {
			return nil, err
		}
		held = append(held, more...)
	}
	return held, nil
}

// holding describes that a layer is part of another device, and how to end that.
func (h Host) holding(l layer, by string) Use {
	u := Use{What: fmt.Sprintf("%s is part of %s", l.files[0], devicePath(by))}
	dir := "block/" + by
	mapped := h.attribute(dir + "/dm/name")
	switch {
	case mapped != "":
		u.What = fmt.Sprintf("%s is part of /dev/mapper/%s", l.files[0], plain(mapped))
		u.Remedy = "dmsetup remove " + plain(mapped)
		if strings.HasPrefix(h.attribute(dir+"/dm/uuid"), "LVM-") {
			u.Remedy = "vgchange -an, for its volume group"
		} else if strings.HasPrefix(h.attribute(dir+"/dm/uuid"), "CRYPT-") {
			u.Remedy = "cryptsetup close " + plain(mapped)
		}
	case h.has(dir + "/md"):
		u.Remedy = "mdadm --stop " + devicePath(by)
	case h.has(dir + "/loop"):
		u.Remedy = "losetup --detach " + devicePath(by)
	default:
		u.Remedy = "stop " + devicePath(by)
	}
	return u
}

// find reports whether the stack has a layer with a file or a device number. An
// empty device number matches no layer.
func (s *stack) find(file, id string) bool {
	return slices.ContainsFunc(s.layers, func(l layer) bool {
		return id != "" && l.id == id || slices.Contains(l.files, file)
	})
}

// mounts lists what is mounted from the stack, see proc_pid_mountinfo(5). It compares
// device numbers, and also names, because filesystems such as btrfs have device
// numbers of their own.
func (s *stack) mounts() (uses []Use, err error) {
	err = s.lines("self/mountinfo", func(fields []string) {
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+3 {
			return
		}
		source, point := unescape(fields[dash+2]), unescape(fields[4])
		if !s.find(source, fields[2]) {
			return
		}
		uses = append(uses, Use{What: fmt.Sprintf("%s is mounted on %s", plain(source), plain(point)), Remedy: "umount " + plain(point), System: isSystem(point)})
	})
	return uses, err
}

// isSystem reports whether the running system needs what is mounted there.
func isSystem(point string) bool {
	return slices.Contains([]string{"/", "/usr", "/var", "/boot", "/boot/efi", "/efi", "/nix", "/gnu"}, path.Clean(point))
}

// swaps lists the stack's swap devices, see proc_swaps(5).
func (s *stack) swaps() (uses []Use, err error) {
	err = s.lines("swaps", func(fields []string) {
		if file := unescape(fields[0]); s.find(file, "") {
			uses = append(uses, Use{What: plain(file) + " is swap space in use", Remedy: "swapoff " + plain(file)})
		}
	})
	return uses, err
}

// lines reads a table of /proc. The table "swaps" is empty if it does not exist,
// because not every kernel supports swap space.
func (s *stack) lines(name string, each func(fields []string)) error {
	text, err := fs.ReadFile(s.host.Proc, name)
	if errors.Is(err, fs.ErrNotExist) && name == "swaps" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find what uses the device: %w", err)
	}
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(nil, len(text)+1)
	for scan.Scan() {
		if fields := strings.Fields(scan.Text()); len(fields) > 0 {
			each(fields)
		}
	}
	return scan.Err()
}

// unescape replaces the kernel's escapes such as "\040".
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
