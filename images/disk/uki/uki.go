// Package uki makes unified kernel images: a kernel, its RAM disk and its
// command line in one UEFI program, behind systemd's stub, so that one
// signature covers all three. It signs UEFI programs with their owner's key.
//
// The formats are those of the UAPI group's Unified Kernel Image
// specification, of Microsoft's "PE Format" and "Windows Authenticode Portable
// Executable Signature Format". Nothing is held in memory that can be read
// when its turn comes, and the same inputs give the same bytes.
package uki

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// File is a file's content that is read when its turn comes, once or more
// often.
type File struct {
	Size int64 // in bytes
	Open func() (io.ReadCloser, error)
}

// Bytes is a file in memory.
func Bytes(b []byte) File {
	return File{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// Kernel is what goes into one image.
type Kernel struct {
	Linux File
	// Initrd is the RAM disk; its zero value is none.
	Initrd  File
	Cmdline string
	// Title is what a boot menu shows, Version what it sorts by.
	Title, Version string
}

// New puts a kernel behind systemd's stub, the content of linuxx64.efi.stub or
// linuxaa64.efi.stub.
func New(stub []byte, k Kernel) (File, error) {
	image, err := newImage(stub, k)
	if err != nil {
		return File{}, fmt.Errorf("make unified kernel image of Linux %s: %w", k.Version, err)
	}
	return image, nil
}

func newImage(stub []byte, k Kernel) (File, error) {
	p, err := parse(stub)
	if err != nil {
		return File{}, fmt.Errorf("systemd's stub: %w", err)
	}
	room, err := imageSize(k.Linux)
	if err != nil {
		return File{}, fmt.Errorf("the kernel: %w", err)
	}
	sections := []section{
		{name: ".osrel", File: Bytes(osRelease(k))},
		{name: ".uname", File: Bytes([]byte(k.Version))},
		{name: ".cmdline", File: Bytes([]byte(k.Cmdline))},
	}
	if k.Initrd.Open != nil {
		sections = append(sections, section{name: ".initrd", File: k.Initrd})
	}
	// The kernel is the last one: it unpacks itself into what is behind it.
	sections = append(sections, section{name: ".linux", File: k.Linux, memory: room})
	return p.with(stub, sections)
}

// osRelease tells a boot menu what this is, in the way of os-release(5).
func osRelease(k Kernel) []byte {
	return fmt.Appendf(nil, "ID=cloudlet\nNAME=cloudlet\nPRETTY_NAME=%s\nVERSION_ID=%s\n", shellQuote(k.Title), shellQuote(k.Version))
}

// shellQuote puts a text between double quotes.
func shellQuote(s string) string {
	quoted := []byte{'"'}
	for i := range len(s) {
		if bytes.IndexByte([]byte("\"\\$`"), s[i]) >= 0 {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, s[i])
	}
	return string(append(quoted, '"'))
}

// imageSize is how much memory a kernel says that it takes, in bytes.
func imageSize(kernel File) (int64, error) {
	head, err := readHead(kernel)
	if err != nil {
		return 0, err
	}
	p, err := parse(head)
	if errors.Is(err, errNoProgram) {
		return 0, errors.New("it has no EFI stub (CONFIG_EFI_STUB), or it is compressed as a whole: firmware cannot start it")
	}
	if err != nil {
		return 0, err
	}
	return int64(p.imageSize()), nil
}

// Signed says whether a UEFI program carries a signature, whoever made it.
func Signed(f File) (bool, error) {
	head, err := readHead(f)
	if err != nil {
		return false, err
	}
	p, err := parse(head)
	if errors.Is(err, errNoProgram) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return p.signed(), nil
}

// headSize is where a program's headers end at the latest.
const headSize = 64 << 10

// readHead is the beginning of a file.
func readHead(f File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, headSize))
}
