package httpboot

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// imageWith gives an image empty programs and units.
func imageWith(t *testing.T, names ...string) func(image string) {
	return func(image string) {
		for _, name := range names {
			must(t, os.MkdirAll(filepath.Join(image, filepath.Dir(name)), 0o755))
			write(t, filepath.Join(image, name), nil)
		}
	}
}

// staticNetwork is a network with one card.
func staticNetwork(s *provision.Spec) {
	s.Network = &provision.Network{
		Interfaces: []provision.Interface{{MAC: node1, MTU: 9000, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")}}},
		DNS:        []netip.Addr{netip.MustParseAddr("10.0.0.53")},
	}
}

var (
	hasNetworkd = []string{"usr/lib/systemd/systemd-networkd", "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"}
	hasManager  = []string{"usr/sbin/NetworkManager"}
	hasIfupdown = []string{"sbin/ifup", "usr/lib/systemd/systemd-udevd"}
)

// TestNetworkOfAnInstall: the overlay has the files for the program that the image
// has, and where it has none the trace says so.
func TestNetworkOfAnInstall(t *testing.T) {
	for _, test := range []struct {
		name     string
		image    []string
		renderer provision.Renderer
		want     []string // of the overlay, beside the templates
		warning  string
	}{
		{name: "networkd", image: hasNetworkd, want: []string{"/etc/resolv.conf", "/etc/systemd/network/02-cloudlets-52-54-00-00-00-01.network"}},
		{name: "networkd that is not enabled", image: hasNetworkd[:1], warning: "none of systemd-networkd (enabled), NetworkManager and ifupdown"},
		{name: "NetworkManager before networkd", image: slices.Concat(hasNetworkd, hasManager), want: []string{"/etc/NetworkManager/system-connections/cloudlets-52-54-00-00-00-01.nmconnection"}},
		{name: "the file's choice", image: slices.Concat(hasNetworkd, hasManager), renderer: provision.Networkd, want: []string{"/etc/resolv.conf", "/etc/systemd/network/02-cloudlets-52-54-00-00-00-01.network"}},
		{name: "ifupdown", image: hasIfupdown, want: []string{"/etc/network/interfaces", "/etc/resolv.conf", "/etc/udev/rules.d/70-cloudlets-net.rules"}},
		{name: "a choice that the image does not have", image: hasManager, renderer: provision.Ifupdown, warning: "it has NetworkManager"},
		{name: "nothing", warning: "none of systemd-networkd (enabled), NetworkManager and ifupdown"},
		{name: "the image's templates alone", image: hasNetworkd, renderer: provision.NoRenderer},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t, imageWith(t, test.image...))
			b.change(node1, func(s *provision.Spec) { staticNetwork(s); s.Network.Renderer = test.renderer })
			_, files := b.overlayOf(b.claim(node1))
			var got []string
			for name := range files {
				if strings.Contains(name, "etwork") || name == "/etc/resolv.conf" || strings.Contains(name, "udev") {
					got = append(got, name)
				}
			}
			if slices.Sort(got); !slices.Equal(got, test.want) {
				t.Errorf("the overlay has %q, want %q", got, test.want)
			}
			if test.warning != "" {
				b.wantTrace(node1, `warning: the installed system does not get the "network" of its file`, test.warning)
			} else if strings.Contains(b.trace(node1), `does not get the "network"`) {
				t.Errorf("there is a warning:\n%s", b.trace(node1))
			}
		})
	}
}

// TestTemplateBeforeBuiltIn: a file that the image's own template writes is as the
// template has it, and the template sees the network.
func TestTemplateBeforeBuiltIn(t *testing.T) {
	with := func(image string) {
		imageWith(t, append([]string{"etc/network/interfaces"}, hasIfupdown...)...)(image)
		write(t, filepath.Join(image, "etc/network/interfaces"), []byte("<%= env.network.interfaces[0].addresses[0] %> <%= env.network.interfaces[0].mtu %> <%= JSON.stringify(env.network) %>"))
		write(t, filepath.Join(image, ".cloudlet/manifest"), []byte(`{"templates": ["/etc/network/interfaces"], "arch": "x86_64"}`))
	}
	b := newBed(t, with)
	shared := &store.Memory{}
	b.start(shared)
	other := b.second(shared)
	b.change(node1, staticNetwork)
	other.change(node1, staticNetwork)
	b.kit(node1)
	plan := b.claim(node1)
	raw, files := b.overlayOf(plan)
	want := `10.0.0.5/24 9000 {"dns":["10.0.0.53"],"interfaces":[{"addresses":["10.0.0.5/24"],"mac":"52:54:00:00:00:01","mtu":9000}]}`
	if files["/etc/network/interfaces"] != want {
		t.Errorf("the template became %q", files["/etc/network/interfaces"])
	}
	if files["/etc/udev/rules.d/70-cloudlets-net.rules"] == "" {
		t.Error("the file that no template writes is not there")
	}
	other.kit(node1)
	if again, _ := other.overlayOf(plan); again != raw {
		t.Error("another server makes another overlay")
	}
}

// TestNetworkBehindASymbolicLink: the files go where the image's links lead.
func TestNetworkBehindASymbolicLink(t *testing.T) {
	b := newBed(t, func(image string) {
		imageWith(t, hasIfupdown...)(image)
		must(t, os.MkdirAll(filepath.Join(image, "usr/lib/netcfg"), 0o755))
		must(t, os.Symlink("../usr/lib/netcfg", filepath.Join(image, "etc/network")))
	})
	b.change(node1, staticNetwork)
	_, files := b.overlayOf(b.claim(node1))
	if !strings.Contains(files["/usr/lib/netcfg/interfaces"], "10.0.0.5/24") {
		t.Errorf("the overlay has %v", files)
	}
}
