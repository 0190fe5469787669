package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/httpboot"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/provision/depot"
	"cloudlets/provision/site"
)

// probeTime is how long doctor waits for answers of other DHCP servers.
const probeTime = 4 * time.Second

// examine makes all checks. A check that fails does not keep the others from
// being made.
func examine(ctx context.Context, f serveFlags, socket string) ([]finding, error) {
	site, err := site.Open(f.site, nil)
	if err != nil {
		return nil, err
	}
	settings, err := f.settings(site)
	if err != nil {
		return nil, err
	}
	findings := checkInterface(settings)
	findings = append(findings, checkPorts(ctx, settings)...)
	if settings.TFTP != "off" {
		findings = append(findings, checkTFTP(ctx, socket, site, settings)...)
	}
	findings = append(findings, checkOtherServers(ctx, settings))
	findings = append(findings, checkLoaders(site, settings)...)
	findings = append(findings, checkFiles(site)...)
	return append(findings, checkImages(ctx, site, settings)...), ctx.Err()
}

func checkInterface(s site.Settings) []finding {
	addr, err := interfaceAddr(s)
	if err != nil {
		return []finding{found("interface "+s.Interface, err)}
	}
	iface, err := net.InterfaceByName(s.Interface)
	if err == nil && iface.Flags&net.FlagUp == 0 {
		err = fmt.Errorf("it is down; switch it on: ip link set %s up", s.Interface)
	}
	return []finding{found(fmt.Sprintf("interface %s has %s", s.Interface, addr), err)}
}

// checkPorts tries to open the ports that serve will open, except that of TFTP.
func checkPorts(ctx context.Context, s site.Settings) []finding {
	var list []finding
	own, _ := interfaceAddr(s) // checkInterface reports the error
	if !s.DHCP.Off {
		for _, port := range []struct{ number, what string }{{"67", "DHCP"}, {"4011", "PXE"}} {
			list = append(list, found("UDP port "+port.number+" is free on "+s.Interface+", for "+port.what, tryListen(ctx, "udp4", ":"+port.number, s.Interface)))
		}
	}
	at := onInterface(own.Addr(), s.HTTP)
	return append(list, found("TCP "+at+" is free, for HTTP boot", tryListen(ctx, "tcp4", at, "")))
}

// checkOtherServers asks for an address, as a machine would.
func checkOtherServers(ctx context.Context, s site.Settings) finding {
	if s.DHCP.Off {
		return finding{What: "DHCP is off: another DHCP server has to name this server"}
	}
	ctx, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	servers, err := dhcp.Probe(ctx, s.Interface)
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
		return found("other DHCP servers", err)
	case s.DHCP.Proxy && leasing == 0:
		return finding{"a DHCP server beside which to be a proxy", "none answers on " + s.Interface + ": machines will get no address; use --dhcp FIRST-LAST to give out addresses here"}
	case proxies > 0:
		return finding{"no other proxy DHCP server", "one answers at" + names + ": machines may boot from it instead; switch it off on this network"}
	case !s.DHCP.Proxy && leasing > 0:
		return finding{"no other DHCP server", "one answers at" + names + ": two servers give machines conflicting addresses; use --dhcp proxy, or switch the other one off"}
	case s.DHCP.Proxy:
		return finding{What: "a DHCP server answers, as a proxy needs, at" + names}
	default:
		return finding{What: "no other DHCP server answers on " + s.Interface}
	}
}

func checkLoaders(site *site.Site, s site.Settings) []finding {
	missing := httpboot.Loaders{Dir: s.Assets, Site: site}.Check(site.Specs())
	list := []finding{found("boot loaders for machines", errors.Join(missing...))}
	if len(kitKeys(site)) > 0 {
		return list // an image may bring those for its disk: checkImages looks
	}
	_, err := disk.Assets{Dir: s.Assets}.Load(context.Background(), disk.AMD64)
	return append(list, found("boot loaders for disks", err))
}

// checkImages makes the kit of each image, which finds everything that is
// missing.
func checkImages(ctx context.Context, site *site.Site, s site.Settings) []finding {
	d, err := newDepot(site, s, nil, nil)
	if err != nil {
		return []finding{found("the state folder "+s.State, err)}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.Run(ctx) })
	var list []finding
	for _, key := range kitKeys(site) {
		kit, err := d.Kit(ctx, key)
		what := "image " + key.String()
		if err == nil {
			what += fmt.Sprintf(": kernel %s, %d files, %s", kit.Kernels[0].Version, kit.Entries, bytesize.Decimal(kit.Bytes))
		}
		list = append(list, found(what, err))
	}
	stop()
	_ = tasks.Wait() // Run ends with its context, and with no error
	return list
}

// kitKeys are the images of the site, with the entry points that machines name.
func kitKeys(site *site.Site) []depot.Key {
	seen := map[depot.Key]bool{}
	var keys []depot.Key
	add := func(key depot.Key) {
		if !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	for _, name := range site.Images() {
		add(depot.Key{Image: name})
	}
	for _, spec := range site.Specs() {
		if spec.Image != "" {
			add(depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint})
		}
	}
	return keys
}

func depotDir(s site.Settings) string { return filepath.Join(s.State, "depot") }
