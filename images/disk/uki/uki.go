// Package uki makes unified kernel images: a kernel, its RAM disk and its
// command line in one UEFI program, behind systemd's stub, so that one
// signature covers all three. It adds signatures to UEFI programs.
//
// The formats are those of the UAPI group's Unified Kernel Image
// specification, of Microsoft's "PE Format" and "Windows Authenticode Portable
// Executable Signature Format". Kernels and RAM disks are streamed, not held in
// memory, and the same inputs give the same bytes.
//
// The signature itself, a PKCS #7 message, is made in the package signing, which alone
// has private keys and the library for that: machines put programs together from
// [Signatures], and do without both. Parts of signing that no library does well are
// here:
//
//   - Adding sections to a program. No Go library was found that writes them.
//   - A program's digest and its certificate table. Package authenticode of
//     go-uefi reads the whole program into memory several times, which is too
//     much for a program that contains a RAM disk. Package authenticode of
//     relic streams, but it links OpenPGP, PKCS #12 and desktop key rings.
package uki

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// File is the content of a file. It may be opened several times, and is read
// only when it is needed.
type File struct {
	Size int64 // in bytes
	Open func() (io.ReadCloser, error)
}

// Bytes returns a file whose content is b.
func Bytes(b []byte) File {
	return File{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// Kernel is the content of one unified kernel image.
type Kernel struct {
	Linux File
	// Initrd is the RAM disk. The zero value means that there is no RAM disk.
	Initrd  File
	Cmdline string
	// A boot menu shows Title and sorts by Version.
	Title, Version string
}

// New makes a unified kernel image. The stub is the content of systemd's
// linuxx64.efi.stub or linuxaa64.efi.stub.
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
	// The kernel must be the last section: it unpacks itself into the memory
	// behind it.
	sections = append(sections, section{name: ".linux", File: k.Linux, memory: room})
	return p.with(stub, sections)
}

// osRelease returns an os-release(5) file, from which boot menus take the
// image's title and version.
func osRelease(k Kernel) []byte {
	return fmt.Appendf(nil, "ID=cloudlet\nNAME=cloudlet\nPRETTY_NAME=%s\nVERSION_ID=%s\n", shellQuote(k.Title), shellQuote(k.Version))
}

// shellQuote returns s between double quotes, as a shell reads it.
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

// imageSize reads from the kernel's header how much memory the kernel needs,
// in bytes.
func imageSize(kernel File) (int64, error) {
	head, err := readHead(kernel)
	if err != nil {
		return 0, err
	}
	p, err := parse(head)
	if errors.Is(err, errNoProgram) {
		return 0, errors.New("firmware cannot start it: it was built without the EFI stub (CONFIG_EFI_STUB), or the whole file is compressed")
	}
	if err != nil {
		return 0, err
	}
	return int64(p.imageSize()), nil
}

// Signed reports whether f is a UEFI program with a signature. It does not
// check the signature. For a file that is not a UEFI program it returns false
// and no error.
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

// headSize is how many bytes at the beginning of a program are read to find
// its headers.
const headSize = 64 << 10

// readHead reads the first headSize bytes of a file, or all of a shorter one.
func readHead(f File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, headSize))
}
