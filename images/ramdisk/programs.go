package ramdisk

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"cloudlets/images/boot"
)

// Programs finds cloudlets as it is built for machines of each architecture, since
// a RAM disk takes it as its first program.
type Programs struct {
	// Dir is searched first; "" for no folder.
	Dir string
	// Self is the file of the program that runs. It is used for machines like this
	// host, and its folder is searched for the others. "" means that it is not known.
	Self string
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

// Find returns the file of the program for an architecture, in any of its names. The
// error is a [*NoProgram] if there is none, if it is for another architecture, or if
// it was built from another version of the source than the program that runs: server
// and agent must be of one version.
func (p Programs) Find(arch string) (string, error) {
	arch = boot.ArchName(arch)
	file, err := p.search(arch)
	if err == nil && file != p.Self {
		if err = checkArch(file, arch); err == nil {
			err = p.checkBuild(file, arch)
		}
	}
	if err != nil {
		return "", &NoProgram{arch, err}
	}
	return file, nil
}

func (p Programs) search(arch string) (string, error) {
	candidates := inFolder(p.Dir, arch)
	own := runtime.GOOS == "linux" && arch == runtime.GOARCH
	if own && p.Self != "" {
		candidates = append(candidates, p.Self)
	}
	if p.Self != "" {
		candidates = append(candidates, inFolder(filepath.Dir(p.Self), arch)...)
	}
	candidates = append(candidates, inFolder(packagedPrograms, arch)...)
	for _, file := range candidates {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return "", fmt.Errorf("the system needs cloudlets for linux/%s, and this one is for %s/%s: %s, and put it into the folder that --assets names, or beside this program",
		arch, runtime.GOOS, runtime.GOARCH, howToBuild(arch))
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
	if slices.Contains([]string{"amd64", "arm64"}, arch) {
		return "build cloudlets-linux-" + arch + " with `make build-all`"
	}
	return "build it with GOOS=linux GOARCH=" + goArch(arch) + ", name it cloudlets-" + arch
}

// goArch returns Go's name of an architecture that has Debian's name.
func goArch(arch string) string {
	if arch == "i386" {
		return "386"
	}
	return arch
}

// checkArch returns an error unless a file is an ELF program for an architecture.
func checkArch(file, arch string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read cloudlets for %s: %w", arch, err)
	}
	defer f.Close()
	head := make([]byte, 64)
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
	if theirs == "" || ours == "" || theirs == ours {
		return nil
	}
	return fmt.Errorf("%s was built from revision %.12s, and this program from %.12s: they must be of one version: %s in its place", file, theirs, ours, howToBuild(arch))
}

// revision reads from a Go program the revision of its source; "" if the program
// does not have it.
func revision(file string) string {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
