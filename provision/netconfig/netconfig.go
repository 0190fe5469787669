// Package netconfig writes the network of an installed system in the language of
// the program that configures it there: systemd-networkd, NetworkManager or
// ifupdown. [Look] finds out what an image has, [Facts.Choose] says which program it
// is, and [Render] makes the files. Render is pure: the same network and facts give
// the same bytes.
//
// A card is known by its MAC alone. Bonds, VLANs and bridges have the names that the
// network gives them.
package netconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/provision"
)

// Facts are what an image says about the configuration of its network.
type Facts struct {
	// Programs are the renderers that the image has, the preferred one first.
	Programs []provision.Renderer
	// ManagedDNS says that a program of the image writes /etc/resolv.conf, since that
	// is a symbolic link.
	ManagedDNS bool
}

// ErrNoRenderer means that an image has no program that could configure a network.
var ErrNoRenderer = errors.New(`the image has none of systemd-networkd (enabled), NetworkManager and ifupdown (with udev), so the installed system's network is as the image has it: add one of them to the image, or write "renderer": "none" and use env.network in a template`)

// programs are what an image must have for each renderer: of each list, one path. The
// order is that of preference. NetworkManager comes first, as it takes over every
// card that it may, wherever it is installed. systemd-networkd comes with systemd, and
// runs only where it is enabled.
var programs = []struct {
	renderer provision.Renderer
	needs    [][]string
}{
	{provision.NetworkManager, [][]string{{"/usr/sbin/NetworkManager"}}},
	{provision.Networkd, [][]string{
		{"/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"},
		{"/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "/usr/lib/systemd/system/multi-user.target.wants/systemd-networkd.service"},
	}},
	{provision.Ifupdown, [][]string{
		{"/sbin/ifup", "/usr/sbin/ifup"},
		{"/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd", "/sbin/udevd", "/usr/sbin/udevd"},
	}},
}

// Look finds out what an image has.
func Look(tree images.Tree) (Facts, error) {
	var f Facts
	for _, p := range programs {
		has, err := hasAll(tree, p.needs)
		if err != nil {
			return f, fmt.Errorf("look for what configures the image's network: %w", err)
		}
		if has {
			f.Programs = append(f.Programs, p.renderer)
		}
	}
	e, err := tree.Entry(resolvConf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("look at the image's %s: %w", resolvConf, err)
	}
	f.ManagedDNS = err == nil && e.Type == images.Symlink
	return f, nil
}

// hasAll says whether a tree has one path of each list.
func hasAll(tree images.Tree, lists [][]string) (bool, error) {
	for _, list := range lists {
		found := false
		for _, name := range list {
			switch _, err := images.Resolve(tree, name); {
			case err == nil:
				found = true
			case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, images.ErrTooManyLinks):
				return false, err
			}
		}
		if !found {
			return false, nil
		}
	}
	return true, nil
}

// Choose returns the renderer for a network: the one that it names, or the first that
// the image has. Without one it returns [ErrNoRenderer]. A renderer that is named and
// not in the image is an error, too.
func (f Facts) Choose(n *provision.Network) (provision.Renderer, error) {
	switch {
	case n.Renderer == provision.NoRenderer || slices.Contains(f.Programs, n.Renderer):
		return n.Renderer, nil
	case n.Renderer != "":
		return "", fmt.Errorf("the network of the machine's file has the renderer %q, and the image does not have that, or has not enabled it: the installed system's network is as the image has it; it has %s", n.Renderer, f.names())
	case len(f.Programs) == 0:
		return "", ErrNoRenderer
	}
	return f.Programs[0], nil
}

func (f Facts) names() string {
	if len(f.Programs) == 0 {
		return "none"
	}
	var names []string
	for _, p := range f.Programs {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// Render returns the files for a network, sorted by their paths. For
// [provision.NoRenderer] there are none. The network must have been checked, as
// package keys does.
func Render(n *provision.Network, renderer provision.Renderer, f Facts) []images.File {
	p := newPlan(n)
	var files []images.File
	switch renderer {
	case provision.Networkd:
		files = append(p.networkd(), p.resolvConf(f)...)
	case provision.NetworkManager:
		files = p.networkManager()
	case provision.Ifupdown:
		files = append(p.ifupdown(), p.resolvConf(f)...)
	}
	slices.SortFunc(files, func(a, b images.File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// Place puts files where an image has their directories, if symbolic links lead
// there. It leaves out those that taken, the paths of other files, has already.
func Place(tree images.Tree, files []images.File, taken func(path string) bool) ([]images.File, error) {
	var placed []images.File
	for _, f := range files {
		dir, err := images.Resolve(tree, path.Dir(f.Path))
		if err == nil {
			f.Path = path.Join(dir, path.Base(f.Path))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("find the place of %s in the image: %w", f.Path, err)
		}
		if !taken(f.Path) {
			placed = append(placed, f)
		}
	}
	return placed, nil
}

const (
	resolvConf = "/etc/resolv.conf"
	// written is the first line of all files, so that a person who finds one knows
	// where to change it.
	written = "# Written when this system was installed, from \"network\" in the machine's file.\n"
)

// newFile is a file of the system's administrator.
func newFile(name, text string, mode uint32) images.File {
	content := []byte(written + text)
	return images.File{
		Entry:   images.Entry{Path: name, Type: images.Regular, Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0).UTC()},
		Content: content,
	}
}

// resolvConf names the name servers where no program of the image does.
func (p plan) resolvConf(f Facts) []images.File {
	if len(p.dns) == 0 || f.ManagedDNS {
		return nil
	}
	var b strings.Builder
	if len(p.search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(p.search, " "))
	}
	for _, server := range p.dns {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	return []images.File{newFile(resolvConf, b.String(), 0o644)}
}
