// Package grub makes the core image of GRUB for BIOS out of the files that
// GRUB's own build leaves: its kernel, its modules, and the pieces of code
// that load and unpack them. No program of GRUB's is run.
//
// A core image is, from its beginning: for a CD, four sectors that read the
// rest; one sector that reads the rest from a disk; the code that unpacks
// what follows; and compressed with LZMA, GRUB's kernel as it will be in
// memory with its modules, an early configuration and the prefix after it.
package grub

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// Medium is what a core image is started from.
type Medium uint8

const (
	// Disk is one on which boot.img finds the image; its place is put in
	// when it is written there.
	Disk Medium = iota
	// CD is one that a BIOS boots by El Torito without emulation. A boot
	// information table has to be put in: see [PatchCD].
	CD
)

// Core is what a core image is made of.
type Core struct {
	// Files is a folder of GRUB's for i386-pc: kernel.img, *.mod, moddep.lst…
	Files fs.FS
	// Prefix is where GRUB finds its folder, "(,gpt2)/grub".
	Prefix string
	// Modules are by name, "part_gpt". What they depend on comes along.
	Modules []string
	// Config is run before anything else; nil is none.
	Config []byte
	Medium Medium
}

const (
	sectorSize = 512
	cdBootSize = 2048

	// linkAddress is where GRUB's kernel is at home.
	linkAddress = 0x9000
	// loadAddress is where the image is read to, its first sector left out,
	// and maxBody is how long what is read may be.
	loadAddress = 0x8200
	maxBody     = 0x78000 - linkAddress
	// kernelEnd is where the kernel's room ends: above is the disk's buffer.
	kernelEnd = 0x68000
)

// Image makes the image. The same files give the same bytes.
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
		return nil, fmt.Errorf("it has %d bytes, and there is room for %d: take fewer modules", len(body), maxBody)
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
		return nil, fmt.Errorf("cdboot.img has %d bytes instead of %d: take GRUB's", len(cd), cdBootSize)
	}
	return bytes.Join([][]byte{cd, first, body}, nil), nil
}

// memory is what is unpacked at [linkAddress]: the kernel, and after it the
// modules and whatever else it finds there.
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
