package ramdisk

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"cloudlets/images/boot"
)

// Programs finds what machines of each architecture run as the first program of a RAM
// disk: cloudlets, or the part of it that machines need (cmd/agent).
type Programs struct {
	// Dir is searched first; "" for no folder.
	Dir string
	// Embedded are the programs that this one carries. They come second.
	Embedded Embedded
	// Self is the file of the program that runs. If it carries none, it is used for
	// machines like this host, and its folder is searched for the others. "" means
	// that it is not known.
	Self string
}

// Program is what machines of one architecture run.
type Program struct {
	// Name is the program's file, or says for a person where else it is.
	Name string
	Size int64 // in bytes
	Open func() (io.ReadCloser, error)
}

// packagedPrograms is the folder into which a package of cloudlets puts its programs
// for other architectures.
const packagedPrograms = "/usr/lib/cloudlets"

// NoProgram is the error of [Programs.Find]. It says why there is no program for an
// architecture, and what to do.
type NoProgram struct {
	Arch string // Debian's name: "arm64"
	Err  error
}

func (e *NoProgram) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NoProgram) Unwrap() error { return e.Err }

// Find returns the program for an architecture, in any of its names. The error is a
// [*NoProgram] if there is none, if it is for another architecture, or if it was built
// from another version of the source than the program that runs: server and agent must
// be of one version.
func (p Programs) Find(arch string) (Program, error) {
	arch = boot.ArchName(arch)
	found, err := p.search(arch)
	if err != nil {
		return Program{}, &NoProgram{arch, err}
	}
	return found, nil
}

func (p Programs) search(arch string) (Program, error) {
	if file, err := firstFile(inFolder(p.Dir, arch)); file != "" || err != nil {
		return p.checked(file, arch, err)
	}
	if found, err := p.Embedded.find(arch); !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	var candidates []string
	if p.Self != "" {
		if runtime.GOOS == "linux" && arch == runtime.GOARCH {
			candidates = append(candidates, p.Self)
		}
		candidates = append(candidates, inFolder(filepath.Dir(p.Self), arch)...)
	}
	if file, err := firstFile(append(candidates, inFolder(packagedPrograms, arch)...)); file != "" || err != nil {
		return p.checked(file, arch, err)
	}
	return Program{}, fmt.Errorf("the system needs cloudlets for linux/%s, and this one is for %s/%s: %s, and put it into the folder that --assets names, or beside this program",
		arch, runtime.GOOS, runtime.GOARCH, howToBuild(arch))
}

// firstFile returns the first file that there is, or "".
func firstFile(candidates []string) (string, error) {
	for _, file := range candidates {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return "", nil
}

// checked returns the program in a file that was found, unless err says why it was not.
func (p Programs) checked(file, arch string, err error) (Program, error) {
	if err == nil && file != p.Self {
		if err = checkArch(file, arch); err == nil {
			err = p.checkBuild(file, arch)
		}
	}
	if err != nil {
		return Program{}, err
	}
	return fileProgram(file)
}

// fileProgram returns the program in a file.
func fileProgram(file string) (Program, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Program{}, err
	}
	return Program{Name: file, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(file) }}, nil
}

// inFolder returns the names of an architecture's program in a folder: its own, and
// that of `make build-all`. For the folder "" there are none.
func inFolder(dir, arch string) []string {
	if dir == "" {
		return nil
	}
	return []string{filepath.Join(dir, "cloudlets-"+arch), filepath.Join(dir, "cloudlets-linux-"+arch)}
}

func howToBuild(arch string) string {
	build := "build ./cmd/agent with GOOS=linux GOARCH=" + goArch(arch) + ", name it cloudlets-" + arch
	if slices.Contains([]string{"amd64", "arm64"}, arch) {
		return "run a cloudlets of `make build-all`, which carries it; or " + build
	}
	return build
}

// goArch returns Go's name of an architecture that has Debian's name.
func goArch(arch string) string {
	if arch == "i386" {
		return "386"
	}
	return arch
}

// headSize is how much of a program tells its architecture.
const headSize = 64

// checkArch returns an error unless a file is an ELF program for an architecture.
func checkArch(file, arch string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read cloudlets for %s: %w", arch, err)
	}
	defer f.Close()
	head := make([]byte, headSize)
	if _, err := f.ReadAt(head, 0); err != nil || boot.ProgramArch(head) != arch {
		return fmt.Errorf("%s is not a Linux program for %s: %s in its place", file, arch, howToBuild(arch))
	}
	return nil
}

// checkBuild compares the revisions of the source that a program and this one were
// built from. A program that does not tell its revision passes.
func (p Programs) checkBuild(file, arch string) error {
	if p.Self == "" {
		return nil
	}
	theirs, ours := revision(file), revision(p.Self)
	if !differ(theirs, ours) {
		return nil
	}
	return fmt.Errorf("%s was built from revision %.12s, and this program from %.12s: they must be of one version: %s in its place", file, theirs, ours, howToBuild(arch))
}

// differ reports whether two programs are of different revisions, as far as both tell.
func differ(theirs, ours string) bool { return theirs != "" && ours != "" && theirs != ours }

// revision reads from a Go program the revision of its source; "" if the program
// does not have it.
func revision(file string) string {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return ""
	}
	return revisionIn(info)
}

func revisionIn(info *buildinfo.BuildInfo) string {
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
