package boot

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// modulesDir has a directory of modules for each version of a kernel.
const modulesDir = "/lib/modules"

// modulesDirs are the places of such directories. The first that has a version
// counts.
var modulesDirs = []string{modulesDir, "/usr/lib/modules", nixProfile + "/kernel-modules/lib/modules"}

// modules are the versions that an image has modules for.
type modules struct {
	versions []string
	// dirs are the directories of modules, by version.
	dirs map[string]string
	// packages are the names that the packages of kernels go by, if the
	// modules tell them: "linux-lts", by version.
	packages map[string]string
}

// maxPackageName is more than the name of a package has, in bytes.
const maxPackageName = 4096

// findModules lists the modules of an image.
func findModules(t images.Tree) (modules, error) {
	m := modules{packages: map[string]string{}, dirs: map[string]string{}}
	for _, place := range modulesDirs {
		dirs, err := images.Glob(t, place+"/*")
		if err != nil {
			return m, err
		}
		for _, dir := range dirs {
			version := path.Base(dir)
			if m.dirs[version] != "" {
				continue
			}
			m.versions, m.dirs[version] = append(m.versions, version), dir
			if m.packages[version], err = packageOf(t, dir); err != nil {
				return m, err
			}
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

// identify returns the head of a kernel, and its version: the one that it has
// inside, or else the one that its name and the modules tell, or else what its
// name says. The version is "" if nothing tells it.
func (m modules) identify(t images.Tree, file string) (head []byte, version string, err error) {
	if head, err = readHead(t, file); err != nil {
		return nil, "", err
	}
	named := namedVersion(file)
	if release := kernelRelease(head); release != "" {
		return head, release, nil
	}
	if named != "" && m.dirs[named] != "" {
		return head, named, nil // saves reading the whole kernel
	}
	if version, err = bannerRelease(t, file); err != nil || version != "" {
		return head, version, err
	}
	if version := m.called(named); version != "" {
		return head, version, nil
	}
	if !isDigit(named) && len(m.versions) == 1 {
		return head, m.versions[0], nil
	}
	return head, named, nil
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
func (m modules) dirOf(version string) string { return m.dirs[version] }
