package grub

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// objectType is the type of an object behind the kernel.
type objectType uint32

const (
	moduleObject objectType = 0
	configObject objectType = 2
	prefixObject objectType = 3
)

const (
	// infoMagic stands before the objects. The kernel recognises them by it.
	infoMagic = 0x676d696d
	// infoSize is the length of the header before the objects: the magic number,
	// the offset of the first object, and the total length.
	infoSize = 12
	// objectHeader is the length of an object's header, which holds the object's
	// type and its length including the header.
	objectHeader = 8
	// wordSize is the unit to which each object's length is rounded up.
	wordSize = 4
)

// maxObjects limits the total size in bytes, so that a wrong list of modules cannot
// fill memory. An image has room for less.
const maxObjects = 4 << 20

// objects returns the modules, the configuration and the prefix in the form in which
// the kernel expects them behind itself.
func (c Core) objects() ([]byte, error) {
	list, err := c.read("moddep.lst")
	if err != nil {
		return nil, err
	}
	deps, err := parseDependencies(list)
	if err != nil {
		return nil, err
	}
	out := make([]byte, infoSize)
	for _, name := range deps.closure(c.Modules) {
		module, err := c.module(name)
		if err != nil {
			return nil, err
		}
		if out = appendObject(out, moduleObject, module); len(out) > maxObjects {
			return nil, fmt.Errorf("the modules have more than %d bytes: use fewer modules", maxObjects)
		}
	}
	if out, err = c.appendTexts(out); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(out[0:], infoMagic)
	binary.LittleEndian.PutUint32(out[4:], infoSize)
	binary.LittleEndian.PutUint32(out[8:], uint32(len(out)))
	return out, nil
}

// appendTexts appends the configuration, if there is one, and the prefix.
// Both end with a zero.
func (c Core) appendTexts(out []byte) ([]byte, error) {
	if bytes.IndexByte(c.Config, 0) >= 0 || strings.IndexByte(c.Prefix, 0) >= 0 {
		return nil, errors.New("the configuration or the prefix contains a zero byte")
	}
	if len(c.Config) > 0 {
		out = appendObject(out, configObject, append(bytes.Clone(c.Config), 0))
	}
	return appendObject(out, prefixObject, append([]byte(c.Prefix), 0)), nil
}

// appendObject appends one object, padded to whole words.
func appendObject(out []byte, kind objectType, content []byte) []byte {
	padding := -len(content) & (wordSize - 1)
	out = binary.LittleEndian.AppendUint32(out, uint32(kind))
	out = binary.LittleEndian.AppendUint32(out, uint32(objectHeader+len(content)+padding))
	out = append(out, content...)
	return append(out, make([]byte, padding)...)
}

// module reads a module and checks that it is for this kernel. GRUB itself would
// stop at a wrong one, without a message.
func (c Core) module(name string) ([]byte, error) {
	if !moduleName(name) {
		return nil, fmt.Errorf("%q is not a module's name", name)
	}
	b, err := c.read(name + ".mod")
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("load %s.mod: %w", name, err)
	}
	if f.Class != elf.ELFCLASS32 || f.Machine != elf.EM_386 || f.Type != elf.ET_REL {
		return nil, fmt.Errorf("load %s.mod: it is a %s for %s: use the file from GRUB's folder i386-pc", name, f.Type, f.Machine)
	}
	return b, nil
}
