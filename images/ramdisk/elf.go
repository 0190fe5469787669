package ramdisk

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cloudlets/images"
)

// maxProgram is the maximum size, in bytes, of a program or library of the
// image that is read into memory.
const maxProgram = 256 << 20

// linker finds what a program of the image needs to run: its interpreter, its
// libraries, and what these need.
type linker struct {
	tree images.Tree
	dirs []string
	// files maps each needed path to its file.
	files map[string]needed
}

// needed is a file that must be in the RAM disk under its own path.
type needed struct {
	content []byte
	mode    uint32
}

func newLinker(tree images.Tree) *linker {
	l := &linker{tree: tree, files: map[string]needed{}}
	for _, dir := range []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"} {
		l.dirs = append(l.dirs, dir)
		// Debian's multiarch folders: /lib/x86_64-linux-gnu.
		if multi, err := images.Glob(tree, dir+"/*-linux-*"); err == nil {
			l.dirs = append(l.dirs, multi...)
		}
	}
	return l
}

// add adds the program at name and everything that it needs to run. The file is
// stored under exactly this name, even if links lead to it.
func (l *linker) add(name string) error {
	if _, ok := l.files[name]; ok {
		return nil
	}
	content, err := images.ReadFile(l.tree, name, maxProgram)
	if err != nil {
		return err
	}
	l.files[name] = needed{content: content, mode: 0o755}
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil // not ELF, e.g. a script, so it has no libraries
	}
	if interp := interpreter(file); interp != "" {
		if err := l.add(interp); err != nil {
			return fmt.Errorf("%s needs its interpreter: %w", name, err)
		}
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read the libraries that %s needs: %w", name, err)
	}
	for _, library := range libraries {
		if err := l.addLibrary(library, runPath(file, name)); err != nil {
			return fmt.Errorf("%s needs %s: %w", name, library, err)
		}
	}
	return nil
}

func (l *linker) addLibrary(library string, first []string) error {
	for _, dir := range append(first, l.dirs...) {
		name := path.Join(dir, library)
		if _, err := images.Resolve(l.tree, name); err == nil {
			return l.add(name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("%w in %s", fs.ErrNotExist, strings.Join(l.dirs, ":"))
}

// interpreter returns the path of a program's dynamic linker, or "".
func interpreter(file *elf.File) string {
	for _, prog := range file.Progs {
		if prog.Type != elf.PT_INTERP {
			continue
		}
		text := make([]byte, min(prog.Filesz, 4096))
		if _, err := prog.ReadAt(text, 0); err == nil {
			return strings.TrimRight(string(text), "\x00")
		}
	}
	return ""
}

// runPath returns the directories in which a program expects its libraries.
func runPath(file *elf.File, name string) []string {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		values, err := file.DynString(tag)
		if err != nil {
			continue
		}
		for _, value := range values {
			value = strings.NewReplacer("$ORIGIN", path.Dir(name), "${ORIGIN}", path.Dir(name)).Replace(value)
			dirs = append(dirs, strings.Split(value, ":")...)
		}
	}
	return dirs
}

// firmware returns the firmware files that a kernel module names in its
// .modinfo section.
func firmware(module []byte) []string {
	file, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil
	}
	data, err := section.Data()
	if err != nil {
		return nil
	}
	var names []string
	for field := range strings.SplitSeq(string(data), "\x00") {
		if name, ok := strings.CutPrefix(field, "firmware="); ok && fs.ValidPath(name) {
			names = append(names, name)
		}
	}
	return names
}
