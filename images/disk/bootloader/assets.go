package bootloader

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

// Files holds the files of boot loaders by name.
type Files map[string][]byte

// Get returns a file, or an error that names the missing file.
func (l Files) Get(name string) ([]byte, error) {
	b := l[name]
	if len(b) == 0 {
		return nil, fmt.Errorf("install boot loaders: %s is missing: load it with the other boot loaders", name)
	}
	return b, nil
}

// Assets finds boot loaders. It looks first in a folder, then in the image that
// is to be booted, then where Debian's packages put them on this computer.
type Assets struct {
	// Dir is a folder with some or all of the boot loaders. If it is empty, no
	// folder is searched.
	Dir string
	// Tree is the image. If it is nil, no image is searched.
	Tree images.Tree
	// Host is the root directory below which Debian's packages are installed.
	// If it is nil, it is this computer's root directory.
	Host fs.FS
}

// Load reads or makes all files that a disk for the architecture needs without
// Secure Boot.
func (a Assets) Load(ctx context.Context, arch Arch) (Files, error) {
	return a.LoadNamed(ctx, LoaderNames(arch)...)
}

// LoadNamed reads or makes the named files. If some are missing, one error names
// all of them, each with its Debian package; it wraps [fs.ErrNotExist].
func (a Assets) LoadNamed(ctx context.Context, names ...string) (Files, error) {
	loaders := Files{}
	var missing []loaderFile
	for _, name := range names {
		f, ok := findLoader(name)
		if !ok {
			return nil, fmt.Errorf("find boot loader: %s is not a boot loader's file", name)
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

// makeCore makes GRUB's core image from the first folder of modules that it
// finds.
func (a Assets) makeCore() ([]byte, error) {
	modules, err := a.grub()
	if err != nil {
		return nil, err
	}
	return MakeCore(modules)
}

// GRUB returns the folder of GRUB's modules for BIOS, which
// [cloudlets/images/disk/grub.Core] reads.
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

// location is a place at which a file may be.
type location struct {
	files fs.FS
	name  string
}

// errNowhere is returned if no location has the file.
var errNowhere = errors.New("the file was not found in any folder")

// find returns the first location that has the file. A file that exists but
// cannot be examined is an error; find does not fall back to a later location.
func (a Assets) find(f loaderFile) (location, error) {
	for _, p := range a.locations(f) {
		info, err := fs.Stat(p.files, p.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return location{}, err
		case info.Mode().IsRegular():
			return p, nil
		}
	}
	return location{}, errNowhere
}

// locations returns where a file may be, in the order of the search.
func (a Assets) locations(f loaderFile) []location {
	var list []location
	add := func(files fs.FS, names []string) {
		for _, name := range names {
			list = append(list, location{files, name})
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

// missing returns the error for missing files. It names the packages to install.
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
		computer = "in the image" // other systems do not have Debian's packages
	}
	folder := "use a folder that has the files"
	if a.Dir != "" {
		folder = "put the files into " + a.Dir
	}
	return fmt.Errorf("find boot loaders: %s: %w: install %s %s, or %s",
		strings.Join(names, ", "), fs.ErrNotExist, strings.Join(packages, " "), computer, folder)
}
