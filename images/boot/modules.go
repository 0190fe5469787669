package boot

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// modulesDir has a directory of modules for each version of a kernel.
const modulesDir = "/lib/modules"

// modules are the versions that an image has modules for.
type modules struct {
	versions []string
	// packages are the names that the packages of kernels go by, if the
	// modules tell them: "linux-lts", by version.
	packages map[string]string
}

// maxPackageName is more than the name of a package has, in bytes.
const maxPackageName = 4096

// findModules lists the modules of an image.
func findModules(t images.Tree) (modules, error) {
	m := modules{packages: map[string]string{}}
	dirs, err := images.Glob(t, modulesDir+"/*")
	if err != nil {
		return m, err
	}
	for _, dir := range dirs {
		version := path.Base(dir)
		m.versions = append(m.versions, version)
		if m.packages[version], err = packageOf(t, dir); err != nil {
			return m, err
		}
	}
	return m, nil
}

// packageOf is the name of the package that a directory of modules is of, as
// Arch Linux notes it there; "" if it is not noted.
func packageOf(t images.Tree, dir string) (string, error) {
	file, err := RegularFile(t, path.Join(dir, "pkgbase"))
	if err != nil || file == "" {
		return "", err
	}
	name, err := images.ReadFile(t, file, maxPackageName)
	return strings.TrimSpace(string(name)), err
}

// versionOf is the version of a kernel: the one that it has inside, or else
// the one that its name and the modules tell, or else what its name says. It
// is "" if nothing tells it.
func (m modules) versionOf(head []byte, named string) string {
	if release := kernelRelease(head); release != "" {
		return release
	}
	if version := m.called(named); version != "" {
		return version
	}
	if !isDigit(named) && len(m.versions) == 1 {
		return m.versions[0]
	}
	return named
}

// called finds the version that a kernel's name stands for. Distributions
// give kernels short names (vmlinuz-lts, vmlinuz-linux): the version ends with
// such a name, or its package is called so.
func (m modules) called(name string) string {
	if name == "" || slices.Contains(m.versions, name) {
		return name
	}
	var found []string
	for _, version := range m.versions {
		if m.packages[version] == name || strings.HasSuffix(version, "-"+name) {
			found = append(found, version)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// dirOf is the directory with the modules of a version, or "" if there is none.
func (m modules) dirOf(version string) string {
	if version == "" || !slices.Contains(m.versions, version) {
		return ""
	}
	return path.Join(modulesDir, version)
}
