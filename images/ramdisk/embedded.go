package ramdisk

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"

	"cloudlets/images/boot"
)

// Embedded are programs for machines that the program which runs carries in itself.
// The zero value has none.
type Embedded struct {
	// Files has "agent-amd64.zst" and the like, by Go's names of architectures.
	Files fs.FS
	// Revision is that of the source which the program that carries them was built
	// from; "" if it is not known.
	Revision string
}

// Carried returns the programs in files, which are a part of the running program.
func Carried(files fs.FS) Embedded {
	e := Embedded{Files: files}
	if info, ok := debug.ReadBuildInfo(); ok {
		e.Revision = revisionIn(info)
	}
	return e
}

// Has reports whether there is a program for an architecture.
func (e Embedded) Has(arch string) bool {
	if e.Files == nil {
		return false
	}
	_, err := fs.Stat(e.Files, embeddedName(boot.ArchName(arch)))
	return err == nil
}

func embeddedName(arch string) string { return "agent-" + goArch(arch) + ".zst" }

// find returns the program for an architecture. The error is [fs.ErrNotExist] if there
// is none. A build can only carry a wrong one by mistake, which shows here and not when
// a machine boots.
func (e Embedded) find(arch string) (Program, error) {
	name := embeddedName(arch)
	if e.Files == nil {
		return Program{}, fs.ErrNotExist
	}
	packed, err := fs.ReadFile(e.Files, name)
	if err != nil {
		return Program{}, err
	}
	wrong := func(err error) error {
		return fmt.Errorf("the program for %s machines that this one carries: %w: build this one again with `make build`", arch, err)
	}
	plain, err := unpack(name, packed)
	if err != nil {
		return Program{}, wrong(err)
	}
	if boot.ProgramArch(plain[:min(len(plain), headSize)]) != arch {
		return Program{}, wrong(errors.New("it is not a Linux program for them"))
	}
	theirs := ""
	if info, err := buildinfo.Read(bytes.NewReader(plain)); err == nil {
		theirs = revisionIn(info)
	}
	if differ(theirs, e.Revision) {
		return Program{}, wrong(fmt.Errorf("it was built from revision %.12s, and this one from %.12s: they must be of one version", theirs, e.Revision))
	}
	open := func() (io.ReadCloser, error) {
		f, err := e.Files.Open(name)
		if err != nil {
			return nil, err
		}
		r, err := decompressor(name, f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return both{r, f}, nil
	}
	return Program{Name: "carried by this program", Size: int64(len(plain)), Open: open}, nil
}

// both is a decompressor that closes its file too.
type both struct {
	io.ReadCloser
	file io.Closer
}

// Close closes both.
func (b both) Close() error { return errors.Join(b.ReadCloser.Close(), b.file.Close()) }
