package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"cloudlets/images"
)

// Loaders are the boot loaders' files by name.
type Loaders map[string][]byte

// get is one of the files, or an error that names it.
func (l Loaders) get(name string) ([]byte, error) {
	b := l[name]
	if len(b) == 0 {
		return nil, fmt.Errorf("install boot loaders: %s is missing", name)
	}
	return b, nil
}

// Assets finds boot loaders: in a folder, or else in the image that they are
// to boot, or else where Debian's packages put them on this computer.
type Assets struct {
	// Dir is a folder that has some or all of them; "" is none.
	Dir string
	// Tree is the image; nil is none.
	Tree images.Tree
	// Host is where Debian's packages are installed; nil is the root of this
	// computer.
	Host fs.FS
}

// Load reads, or makes, all files that a disk for an architecture needs.
func (a Assets) Load(ctx context.Context, arch Arch) (Loaders, error) {
	return a.LoadNamed(ctx, LoaderNames(arch)...)
}

// LoadNamed reads, or makes, the files of these names. All that are missing
// are in the one error, each with its package; that is an [fs.ErrNotExist].
func (a Assets) LoadNamed(ctx context.Context, names ...string) (Loaders, error) {
	loaders := Loaders{}
	var missing []loaderFile
	for _, name := range names {
		f, ok := findLoader(name)
		if !ok {
			return nil, fmt.Errorf("find boot loader: no boot loader has a file %s", name)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("load boot loader %s: %w", name, err)
		}
		b, err := a.load(f)
		switch {
		case errors.Is(err, errNowhere):
			missing = append(missing, f)
		case err != nil:
			return nil, fmt.Errorf("load boot loader %s: %w", name, err)
		}
		loaders[name] = b
	}
	if len(missing) > 0 {
		return nil, a.missing(missing)
	}
	return loaders, nil
}

func (a Assets) load(f loaderFile) ([]byte, error) {
	found, err := a.find(f)
	if f.name == CoreImage && errors.Is(err, errNowhere) {
		return a.makeCore()
	}
	if err != nil {
		return nil, err
	}
	return fs.ReadFile(found.files, found.name)
}

// makeCore makes GRUB's core image of the first modules that are found.
func (a Assets) makeCore() ([]byte, error) {
	modules, err := a.grub()
	if err != nil {
		return nil, err
	}
	return MakeCore(modules)
}

// GRUB is the folder with GRUB's modules for BIOS, the place of
// [cloudlets/images/disk/grub.Core].
func (a Assets) GRUB() (fs.FS, error) {
	files, err := a.grub()
	if errors.Is(err, errNowhere) {
		f, _ := findLoader(kernelImage)
		return nil, a.missing([]loaderFile{f})
	}
	return files, err
}

func (a Assets) grub() (fs.FS, error) {
	f, _ := findLoader(kernelImage)
	found, err := a.find(f)
	if err != nil {
		return nil, err
	}
	return fs.Sub(found.files, path.Dir(found.name))
}

// place is a file of one of the places that are looked through.
type place struct {
	files fs.FS
	name  string
}

// errNowhere says that none of the places has a file.
var errNowhere = errors.New("it is in none of the places")

// find looks through all places for a file. One that is there and cannot be
// looked at is an error: no other one is taken in its stead.
func (a Assets) find(f loaderFile) (place, error) {
	for _, p := range a.places(f) {
		info, err := fs.Stat(p.files, p.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return place{}, err
		case info.Mode().IsRegular():
			return p, nil
		}
	}
	return place{}, errNowhere
}

// places are all in which a file may be, the first one first.
func (a Assets) places(f loaderFile) []place {
	var list []place
	add := func(files fs.FS, names []string) {
		for _, name := range names {
			list = append(list, place{files, name})
		}
	}
	if a.Dir != "" {
		add(os.DirFS(a.Dir), f.inAssets())
	}
	if a.Tree != nil {
		add(treeFS{a.Tree}, f.inDebian())
	}
	host := a.Host
	if host == nil {
		host = os.DirFS("/")
	}
	add(host, f.inDebian())
	return list
}

// missing says what is not there, and what to install.
func (a Assets) missing(files []loaderFile) error {
	names, packages := make([]string, len(files)), []string(nil)
	for i, f := range files {
		names[i] = fmt.Sprintf("%s (Debian package %s)", f.name, f.pkg)
		if !slices.Contains(packages, f.pkg) {
			packages = append(packages, f.pkg)
		}
	}
	computer := "on this computer or in the image"
	if runtime.GOOS != "linux" {
		computer = "in the image" // no other system has Debian's packages
	}
	folder := "use a folder that has the files"
	if a.Dir != "" {
		folder = "put the files into " + a.Dir
	}
	return fmt.Errorf("find boot loaders: %s: %w: install %s %s, or %s",
		strings.Join(names, ", "), fs.ErrNotExist, strings.Join(packages, " "), computer, folder)
}
