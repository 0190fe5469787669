// Package grub makes GRUB's core image for BIOS from the files of a GRUB package: the
// kernel, the modules, and the code that loads and unpacks them. It does not run any
// of GRUB's programs.
//
// A core image consists of these parts in order: for a CD, four sectors of code that
// read the rest; one sector of code that reads the rest from a disk; the code that
// unpacks what follows; and an LZMA stream. The stream contains GRUB's kernel as it
// will be in memory, followed by modules, an early configuration and the prefix.
package grub

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// Medium is the kind of medium from which a core image is started.
type Medium uint8

const (
	// Disk is a disk on which boot.img loads the image. The image's sector number
	// must be filled in when it is written.
	Disk Medium = iota
	// CD is a CD that a BIOS boots by El Torito without emulation. [PatchCD] must
	// fill in a boot information table.
	CD
)

// Core describes a core image.
type Core struct {
	// Files is GRUB's folder i386-pc, with kernel.img, *.mod, moddep.lst and others.
	Files fs.FS
	// Prefix is the path of GRUB's folder, e.g. "(,gpt2)/grub".
	Prefix string
	// Modules are names such as "part_gpt". Their dependencies are added.
	Modules []string
	// Config is a script that GRUB runs first. It may be nil.
	Config []byte
	Medium Medium
}

const (
	sectorSize = 512
	cdBootSize = 2048

	// linkAddress is the address for which GRUB's kernel is linked.
	linkAddress = 0x9000
	// loadAddress is the address to which the image without its first sector is
	// read, and maxBody is the largest length that may be read there.
	loadAddress = 0x8200
	maxBody     = 0x78000 - linkAddress
	// kernelEnd is the end of the kernel's memory. The disk buffer lies above it.
	kernelEnd = 0x68000
)

// Image makes the core image. The same files give the same bytes.
func (c Core) Image() ([]byte, error) {
	image, err := c.image()
	if err != nil {
		return nil, fmt.Errorf("make GRUB's core image: %w", err)
	}
	return image, nil
}

func (c Core) image() ([]byte, error) {
	memory, err := c.memory()
	if err != nil {
		return nil, err
	}
	body, err := c.pack(memory)
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("it has %d bytes, but there is room for only %d: use fewer modules", len(body), maxBody)
	}
	first, err := c.firstSector(len(body))
	if err != nil || c.Medium == Disk {
		return append(first, body...), err
	}
	cd, err := c.read("cdboot.img")
	if err != nil {
		return nil, err
	}
	if len(cd) != cdBootSize {
		return nil, fmt.Errorf("cdboot.img has %d bytes instead of %d: use the file of this name from GRUB", len(cd), cdBootSize)
	}
	return bytes.Join([][]byte{cd, first, body}, nil), nil
}

// memory returns what is unpacked to [linkAddress]: the kernel, followed by the
// modules, the configuration and the prefix.
func (c Core) memory() ([]byte, error) {
	file, err := c.read("kernel.img")
	if err != nil {
		return nil, err
	}
	kernel, err := loadKernel(file)
	if err != nil {
		return nil, fmt.Errorf("load kernel.img: %w", err)
	}
	objects, err := c.objects()
	if err != nil {
		return nil, err
	}
	return append(kernel, objects...), nil
}

// read reads one of GRUB's files.
func (c Core) read(name string) ([]byte, error) {
	b, err := fs.ReadFile(c.Files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: install the Debian package grub-pc-bin: %w", name, err)
	}
	return b, err
}
