package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"cloudlets/images/disk/sparse"
)

// What lseek is told to find, on systems that know holes.
const (
	seekData = 3
	seekHole = 4
)

// Data lists the parts of a file that are no holes, in their order. Of a file whose
// filesystem tells nothing of holes, that is all of it.
func Data(f *os.File) ([]sparse.Extent, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var list []sparse.Extent
	for end := int64(0); end < info.Size(); {
		start, err := f.Seek(end, seekData)
		if errors.Is(err, syscall.ENXIO) { // a hole up to the end
			return list, nil
		}
		if err != nil {
			return []sparse.Extent{{Length: info.Size()}}, nil
		}
		if end, err = f.Seek(start, seekHole); err != nil {
			return nil, err
		}
		list = append(list, sparse.Extent{Offset: start, Length: end - start})
	}
	return list, nil
}

// SameFiles returns an error if two files differ. What is a hole in both is not read, so
// that a disk costs what is on it.
func SameFiles(one, two string) error {
	a, err := os.Open(one)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(two)
	if err != nil {
		return err
	}
	defer b.Close()
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if infoA.Size() != infoB.Size() {
		return fmt.Errorf("%s has %d bytes, and %s %d", one, infoA.Size(), two, infoB.Size())
	}
	for _, f := range []*os.File{a, b} {
		list, err := Data(f)
		if err != nil {
			return err
		}
		bufA, bufB := make([]byte, 1<<20), make([]byte, 1<<20)
		for _, x := range list {
			for at := x.Offset; at < x.End(); at += int64(len(bufA)) {
				n := min(int64(len(bufA)), x.End()-at)
				_, errA := a.ReadAt(bufA[:n], at)
				_, errB := b.ReadAt(bufB[:n], at)
				if err := errors.Join(errA, errB); err != nil {
					return err
				}
				if !bytes.Equal(bufA[:n], bufB[:n]) {
					i := 0
					for bufA[i] == bufB[i] {
						i++
					}
					return fmt.Errorf("%s and %s differ at byte %d", one, two, at+int64(i))
				}
			}
		}
	}
	return nil
}

// SameFolders returns an error if the files of two folders differ, in names or in content.
func SameFolders(one, two string) error {
	names := func(dir string) (list []string, err error) {
		err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				p, err = filepath.Rel(dir, p)
				list = append(list, p)
			}
			return err
		})
		return list, err
	}
	a, errA := names(one)
	b, errB := names(two)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if fmt.Sprint(a) != fmt.Sprint(b) {
		return fmt.Errorf("%s has the files %q, and %s has %q", one, a, two, b)
	}
	var errs []error
	for _, name := range a {
		errs = append(errs, SameFiles(filepath.Join(one, name), filepath.Join(two, name)))
	}
	return errors.Join(errs...)
}

// CopyPart makes a file of a part of another one, with its holes.
func CopyPart(to string, from *os.File, offset, size int64) error {
	list, err := Data(from)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, x := range list {
		start, end := max(x.Offset, offset), min(x.End(), offset+size)
		if start < end {
			if _, err := f.Seek(start-offset, io.SeekStart); err != nil {
				return err
			}
			if _, err := io.Copy(f, io.NewSectionReader(from, start, end-start)); err != nil {
				return err
			}
		}
	}
	return f.Truncate(size)
}
