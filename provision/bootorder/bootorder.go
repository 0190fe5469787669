package bootorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Variables are those of the firmware, in the namespace of UEFI's own variables. A
// variable that is not there has an error that satisfies errors.Is(err, fs.ErrNotExist).
type Variables interface {
	// Names are the names of all variables, in any order.
	Names() ([]string, error)
	Read(name string) ([]byte, error)
	// Write replaces a variable at once, or makes a new one.
	Write(name string, data []byte) error
	Remove(name string) error
}

// Entry is the entry to make: a loader on a partition.
type Entry struct {
	// Title says what is started, "debian-12".
	Title     string
	Partition Partition
	// Loader is the path of the loader's file, "EFI/BOOT/BOOTX64.EFI".
	Loader string
}

// prefix begins the description of all entries that this package makes. It recognises
// them by that.
const prefix = "cloudlets: "

// maxTitle bounds what the firmware's menu shows, in runes.
const maxTitle = 64

func (e Entry) option() Option {
	title := []rune(e.Title)
	return Option{Attributes: Active, Description: prefix + string(title[:min(len(title), maxTitle)]), Path: filePath(e.Partition, e.Loader)}
}

// Put makes the firmware's entry for a machine's installed system, and returns the name
// of its variable. Earlier entries of this package are replaced; all others stay as they
// are. In the boot order the entry has the place of the earlier one. A first one comes
// right after the entry by which the machine started, or else at the beginning.
//
// The order never names an entry that is not there, whenever the machine loses its
// power: the entry is written first, then the order, and only then the entries go that
// the order does not name any more.
func Put(v Variables, e Entry) (string, error) {
	name, err := put(v, e)
	if err != nil {
		return "", fmt.Errorf("make the firmware's boot entry for %s: %w", e.Title, err)
	}
	return name, nil
}

func put(v Variables, e Entry) (string, error) {
	order, err := readNumbers(v, "BootOrder")
	if err != nil {
		return "", err
	}
	all, own, err := entries(v)
	if err != nil {
		return "", err
	}
	data, err := e.option().Bytes()
	if err != nil {
		return "", err
	}
	number, fresh := chooseNumber(order, all, own)
	if err := writeChanged(v, variable(number), data); err != nil {
		return "", err
	}
	current, err := readNumbers(v, "BootCurrent")
	if err == nil {
		err = writeChanged(v, "BootOrder", numberBytes(reorder(order, own, current, number)))
	}
	if err != nil {
		if fresh {
			err = errors.Join(err, v.Remove(variable(number)))
		}
		return "", err
	}
	for _, n := range own {
		if n != number {
			err = errors.Join(err, v.Remove(variable(n)))
		}
	}
	return variable(number), err
}

// entries lists the numbers of all entries, and of those that are this package's own.
func entries(v Variables) (all, own []uint16, err error) {
	names, err := v.Names()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		number, ok := numberOf(name)
		if !ok {
			continue
		}
		all = append(all, number)
		if isOwn(v, name) {
			own = append(own, number)
		}
	}
	slices.Sort(own)
	return all, own, nil
}

// isOwn says whether an entry is this package's own. What cannot be read is somebody
// else's.
func isOwn(v Variables, name string) bool {
	data, err := v.Read(name)
	if err != nil {
		return false
	}
	option, err := ParseOption(data)
	return err == nil && strings.HasPrefix(option.Description, prefix)
}

// chooseNumber is the number of the entry: that of an earlier one, so that the firmware
// needs no more room, or else the first that is free.
func chooseNumber(order, all, own []uint16) (number uint16, fresh bool) {
	for _, n := range order {
		if slices.Contains(own, n) {
			return n, false
		}
	}
	if len(own) > 0 {
		return own[0], false
	}
	for slices.Contains(all, number) || slices.Contains(order, number) {
		number++
	}
	return number, true
}

// reorder puts an entry into the boot order, and takes the earlier ones out.
func reorder(order, own, current []uint16, number uint16) []uint16 {
	at := slices.IndexFunc(order, func(n uint16) bool { return slices.Contains(own, n) })
	if at < 0 {
		at = 0
		if len(current) == 1 {
			at = slices.Index(order, current[0]) + 1
		}
	}
	kept := slices.DeleteFunc(slices.Clone(order), func(n uint16) bool { return slices.Contains(own, n) })
	return slices.Insert(kept, at, number)
}

// writeChanged writes a variable unless it has the content already: the firmware's
// memory wears out.
func writeChanged(v Variables, name string, data []byte) error {
	switch now, err := v.Read(name); {
	case err == nil && bytes.Equal(now, data):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return v.Write(name, data)
}

// readNumbers reads a list of entries. A variable that is not there is an empty list.
func readNumbers(v Variables, name string) (numbers []uint16, err error) {
	data, err := v.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case len(data)%2 != 0:
		return nil, fmt.Errorf("the variable %s has %d bytes, and each entry takes two: reset the boot order in the firmware's setup", name, len(data))
	}
	for ; len(data) > 0; data = data[2:] {
		numbers = append(numbers, binary.LittleEndian.Uint16(data))
	}
	return numbers, nil
}

func numberBytes(numbers []uint16) (data []byte) {
	for _, n := range numbers {
		data = binary.LittleEndian.AppendUint16(data, n)
	}
	return data
}

// variable is the name of an entry's variable, "Boot001A".
func variable(number uint16) string { return fmt.Sprintf("Boot%04X", number) }

// numberOf is the number in the name of an entry's variable.
func numberOf(name string) (uint16, bool) {
	digits, ok := strings.CutPrefix(name, "Boot")
	if !ok || len(digits) != 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	return uint16(n), err == nil && variable(uint16(n)) == name
}
