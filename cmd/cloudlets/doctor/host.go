//go:build linux

package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/cmd/cloudlets/daemon"
	"cloudlets/dhcp/ether"
	"cloudlets/httpboot/loaders"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/ramdisk"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
	"cloudlets/provision/review"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
)

// probeTime is how long doctor waits for answers of other DHCP servers. dnsmasq takes 3 s.
const probeTime = 6 * time.Second

// Server is the server that shall run, or that runs already.
type Server struct {
	Site     *site.Site
	Settings keys.Settings // complete: nothing in them is left to defaults
	Socket   string        // path of the Unix socket on which a running server answers
	// Programs say what machines run. The folder is that of Settings.
	Programs ramdisk.Programs
	Render   images.Renderer
}

// Examine makes all checks. A check that fails does not keep the others from
// being made.
func Examine(ctx context.Context, s Server) ([]Finding, error) {
	var findings []Finding
	for _, n := range s.Settings.Served() {
		findings = append(findings, checkNetwork(ctx, n)...)
	}
	findings = append(findings, checkPorts(ctx, s)...)
	if s.Settings.TFTP != "off" {
		findings = append(findings, checkTFTP(ctx, s.Socket, s.Site, s.Settings)...)
	}
	findings = append(findings, checkStore(ctx, s.Settings.Store)...)
	findings = append(findings, checkNeighbours(s.Site)...)
	findings = append(findings, checkSites(ctx, s.Socket)...)
	findings = append(findings, checkServed(ctx, s.Socket)...)
	findings = append(findings, checkLoaders(s.Site, s.Settings)...)
	findings = append(findings, Files(s.Site)...)
	findings = append(findings, checkAddresses(s)...)
	findings = append(findings, checkPower(ctx, s.Site)...)
	return append(findings, checkImages(ctx, s)...), ctx.Err()
}

// checkNetwork checks the interface of a network, and what else answers there.
func checkNetwork(ctx context.Context, n keys.Network) []Finding {
	if n.Interface == "" {
		return []Finding{{What: fmt.Sprintf("network %s, %s: reached by relays, which send to this server", n.Title(), n.Subnet)}}
	}
	addr, err := daemon.InterfaceAddr(n)
	if err != nil {
		return []Finding{Found("interface "+n.Interface, err)}
	}
	iface, err := net.InterfaceByName(n.Interface)
	if err == nil && iface.Flags&net.FlagUp == 0 {
		err = fmt.Errorf("it is down; switch it on: ip link set %s up", n.Interface)
	}
	found := []Finding{Found(fmt.Sprintf("interface %s has %s", n.Interface, addr), err)}
	if n.IsIPv6() {
		return append(found, Finding{What: fmt.Sprintf("network %s is one of IPv6: its machines ask by DHCPv6 if a router advertises that (with the flag M, as radvd's AdvManagedFlag)", n.Title())})
	}
	return append(found, checkOtherServers(ctx, n))
}

// checkPorts tries to open the ports that serve will open, except that of TFTP.
func checkPorts(ctx context.Context, server Server) []Finding {
	s, running := server.Settings, runningServer(ctx, server.Socket)
	var list []Finding
	for _, n := range s.Served() {
		if n.DHCP.Off || n.Interface == "" {
			continue
		}
		if n.IsIPv6() {
			list = append(list, foundPort("UDP port 547 on "+n.Interface, "DHCPv6", running, tryListen(ctx, "udp6", ":547", n.Interface)))
			continue
		}
		for _, port := range []struct{ number, what string }{{"67", "DHCP"}, {"4011", "PXE"}} {
			err := tryListen(ctx, "udp4", ":"+port.number, n.Interface)
			if n.DHCP.Proxy && port.number == "67" && errors.Is(err, syscall.EADDRINUSE) {
				list = append(list, Finding{What: "UDP port 67 is another program's on " + n.Interface + ", beside which the proxy answers"})
				continue
			}
			list = append(list, foundPort("UDP port "+port.number+" on "+n.Interface, port.what, running, err))
		}
	}
	for _, at := range addresses(s, s.HTTP) {
		list = append(list, foundPort("TCP "+at, "HTTP boot", running, tryListen(ctx, daemon.FamilyOf("tcp", at), at, "")))
	}
	if s.HTTPS.On() {
		for _, at := range addresses(s, daemon.HTTPSListen(s)) {
			list = append(list, foundPort("TCP "+at, "HTTPS boot", running, tryListen(ctx, "tcp4", at, "")))
		}
	}
	if daemon.HasMetadata(s) {
		list = append(list, foundPort("TCP "+daemon.MetadataListen, "metadata", running, tryMetadata(ctx)))
	}
	return list
}

// tryMetadata opens the metadata service's port as serve does, and closes it.
func tryMetadata(ctx context.Context) error {
	l, err := daemon.OpenMetadata(ctx)
	if err != nil {
		return &portTaken{err, ownerOf("tcp4", daemon.MetadataListen)}
	}
	return l.Close()
}

// addresses are where the server listens by a setting such as ":80". Interfaces that
// have no address are reported by checkNetwork.
func addresses(s keys.Settings, listen string) (all []string) {
	for _, n := range s.Served() {
		own, err := daemon.InterfaceAddr(n)
		if err != nil {
			continue
		}
		if at := daemon.OnInterface(own.Addr(), listen); !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

// checkOtherServers asks for an address, as a machine would.
func checkOtherServers(ctx context.Context, s keys.Network) Finding {
	if s.DHCP.Off {
		return Finding{What: "DHCP is off: another DHCP server has to name this server"}
	}
	ctx, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	servers, err := ether.Probe(ctx, s.Interface)
	leasing, proxies := 0, 0
	names := ""
	for _, other := range servers {
		if other.Proxy() {
			proxies++
		} else {
			leasing++
		}
		names += " " + other.Server.String()
	}
	switch {
	case err != nil:
		return Found("other DHCP servers", err)
	case s.DHCP.Proxy && leasing == 0:
		return Finding{"a DHCP server beside which to be a proxy", "none answers on " + s.Interface + ": machines will get no address; use --dhcp FIRST-LAST to give out addresses here"}
	case proxies > 0:
		return Finding{"no other proxy DHCP server", "one answers at" + names + ": machines may boot from it instead; switch it off on this network"}
	case !s.DHCP.Proxy && leasing > 0:
		return Finding{"no other DHCP server", "one answers at" + names + ": two servers give machines conflicting addresses; use --dhcp proxy, or switch the other one off"}
	case s.DHCP.Proxy:
		return Finding{What: "a DHCP server answers, as a proxy needs, at" + names}
	default:
		return Finding{What: "no other DHCP server answers on " + s.Interface}
	}
}

// checkAddresses looks at the addresses that are reserved for machines.
func checkAddresses(s Server) []Finding {
	var list []Finding
	for _, p := range daemon.Misplaced(s.Site, s.Settings) {
		list = append(list, Finding{"the addresses of machines", p.Error()})
	}
	return list
}

func checkLoaders(site *site.Site, s keys.Settings) []Finding {
	missing := loaders.Files{Dir: s.Assets, Site: site}.Check(site.Specs())
	list := []Finding{Found("boot loaders for machines", errors.Join(missing...))}
	if len(daemon.KitKeys(site)) > 0 {
		return list // an image may bring those for its disk: checkImages looks
	}
	_, err := bootloader.Assets{Dir: s.Assets}.Load(context.Background(), bootloader.AMD64)
	return append(list, Found("boot loaders for disks", err))
}

// checkImages makes the kit of each image, which finds everything that is
// missing.
func checkImages(ctx context.Context, s Server) []Finding {
	d, err := daemon.OpenDepot(s.Site, s.Settings, s.Programs, nil, nil, nil, nil)
	if err != nil {
		return []Finding{Found("the state folder "+s.Settings.State, err)}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.Run(ctx) })
	var list []Finding
	arm64, kits := false, map[depot.Key]*depot.Kit{}
	for _, key := range daemon.KitKeys(s.Site) {
		kit, err := d.Kit(ctx, key)
		what := "image " + key.String()
		if err == nil {
			what += fmt.Sprintf(": kernel %s, %d files, %s", kit.Kernels[0].Version, kit.Entries, bytesize.Decimal(kit.Bytes))
		}
		list = append(list, Found(what, err))
		arm64 = arm64 || isARM64(kit, err)
		if err == nil {
			kits[key] = kit
		}
	}
	list = append(list, checkMachines(ctx, s, d, kits)...)
	stop()
	_ = tasks.Wait() // Run ends with its context, and with no error
	if arm64 {
		list = append(list, checkARM64(s)...)
	}
	if !arm64 || runtime.GOARCH != string(bootloader.ARM64) {
		list = append(list, checkAgent(s, runtime.GOARCH))
	}
	return list
}

// checkMachines renders each machine against its image, if that can be booted. What is
// only a warning does not fail.
func checkMachines(ctx context.Context, s Server, d *depot.Depot, kits map[depot.Key]*depot.Kit) []Finding {
	var list []Finding
	rendered := 0
	for _, spec := range s.Site.Specs() {
		kit := kits[depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint}]
		if kit == nil {
			continue
		}
		found, err := checkMachine(ctx, s, d, spec, kit)
		if err != nil {
			return append(list, Found("machine "+spec.MAC.String(), err))
		}
		rendered++
		for _, f := range found {
			if f.Warning {
				list = append(list, Finding{What: f.Error()})
			} else {
				list = append(list, Finding{"machine " + spec.MAC.String(), f.Error()})
			}
		}
	}
	return append(list, Finding{What: fmt.Sprintf("%d machines were rendered against their images", rendered)})
}

func checkMachine(ctx context.Context, s Server, d *depot.Depot, spec provision.Spec, kit *depot.Kit) ([]review.Finding, error) {
	tree, done, err := d.OpenPack(kit.Pack)
	if err != nil {
		return nil, err
	}
	defer done()
	image := review.Image{Manifest: kit.Manifest, System: kit.Image, Tree: tree, Suits: func(spec *provision.Spec) error { return d.Suits(spec, kit, "") }}
	facts := rendering.Facts{Server: "http://192.0.2.254"} // an example: which it is depends on the machine's network
	return review.Check(ctx, s.Render, image, review.Machine{Spec: spec, Locate: s.Site.Locate(spec.MAC), Facts: facts, CheckFile: s.Site.CheckFile})
}

// isARM64 says whether an image is for arm64 machines, by its kit or by the error
// that says why it has none.
func isARM64(kit *depot.Kit, err error) bool {
	var lacks *ramdisk.NoProgram
	return errors.As(err, &lacks) && lacks.Arch == string(bootloader.ARM64) || err == nil && kit.Kernels[0].Arch == string(bootloader.ARM64)
}

// checkARM64 checks what arm64 machines take besides an image: a boot loader, and
// cloudlets as it is built for them.
func checkARM64(s Server) []Finding {
	loader, err := loaders.Files{Dir: s.Settings.Assets, Site: s.Site}.CheckARM64()
	list := []Finding{Found("a boot loader for UEFI machines of arm64: "+cmp.Or(loader, "none"), err)}
	return append(list, checkAgent(s, string(bootloader.ARM64)))
}

// checkAgent says which program machines of an architecture run.
func checkAgent(s Server, arch string) Finding {
	programs := s.Programs
	programs.Dir = s.Settings.Assets
	found, err := programs.Find(arch)
	what := "cloudlets for " + arch + " machines: "
	switch {
	case err != nil:
		return Found(what+"none", err)
	case found.Name == programs.Self:
		what += "this whole program, " + bytesize.Decimal(found.Size) + "; one of `make build` carries a smaller one"
	default:
		what += found.Name + ", " + bytesize.Decimal(found.Size)
	}
	return Finding{What: what}
}
