package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"cloudlets/provision/site"
)

// serve runs the daemon until ctx ends.
func (f serveFlags) serve(ctx context.Context, socket string, log *slog.Logger) error {
	d, err := newDaemon(f, socket, log)
	if err != nil {
		return err
	}
	return d.serve(ctx)
}

// settings returns the site's settings, with flags in place of what they set and
// defaults in place of what is empty.
func (f serveFlags) settings(opened *site.Site) (site.Settings, error) {
	s := opened.Settings()
	if f.dhcp != "" {
		service, err := site.ParseDHCPService(f.dhcp)
		if err != nil {
			return s, codedError{fmt.Errorf("--dhcp: %w", err), exitUsage}
		}
		s.DHCP = service
	}
	if s.DHCP == (site.DHCPService{}) {
		s.DHCP.Proxy = true
	}
	for _, o := range []struct {
		value    *string
		flag     string
		fallback string
	}{
		{&s.Interface, f.iface, ""}, {&s.HTTP, f.http, defaultHTTP}, {&s.TFTP, f.tftp, defaultTFTP},
		{&s.Assets, f.assets, ""}, {&s.State, f.state, defaultState},
	} {
		if o.flag != "" {
			*o.value = o.flag
		}
		if *o.value == "" {
			*o.value = o.fallback
		}
	}
	if s.Interface == "" {
		return s, codedError{errors.New("no interface to serve: say which with --interface, or with \"interface\" in the site's cloudlets.json"), exitUsage}
	}
	return s, nil
}

// explain logs what the server does from now on, and what the user could do
// next.
func (d *daemon) explain() {
	d.log.Info("serving", "interface", d.settings.Interface, "address", d.addr.Addr(), "dhcp", d.settings.DHCP, "site", d.site.Dir())
	specs := d.site.Specs()
	names := d.site.Images()
	switch {
	case len(names) == 0:
		d.log.Info("the site has no images yet: put a folder or a tarball with /.cloudlet/manifest in it into " + filepath.Join(d.site.Dir(), "images"))
	case len(specs) == 0:
		d.log.Info("the site has no machines yet: switch one on and its address appears in `cloudlets machines`; then write {\"image\": \"" + names[0] + "\"} to " + filepath.Join(d.site.Dir(), "machines", "<MAC>.json"))
	}
	if d.settings.DHCP.Off {
		d.log.Info("DHCP is off: machines find this server only if your DHCP server names it")
	}
}
