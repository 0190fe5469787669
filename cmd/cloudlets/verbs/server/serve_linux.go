package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"cloudlets/cmd/cloudlets/agents"
	"cloudlets/cmd/cloudlets/daemon"
	"cloudlets/cmd/cloudlets/doctor"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/heap"
	"cloudlets/cmd/cloudlets/sandbox"
	"cloudlets/images/ejs"
	"cloudlets/images/ramdisk"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
)

// serve runs the daemon until ctx ends. Version is that of this program.
func (f serveFlags) serve(ctx context.Context, socket, version string, log *slog.Logger) error {
	opened, settings, self, err := f.open(log)
	if err != nil {
		return err
	}
	heap.Bound()
	d, err := daemon.Open(ctx, daemon.Config{
		Site: opened, Settings: settings, Socket: socket, Web: f.web, Version: version,
		Self: []string{self, sandbox.Verb}, SelfLow: []string{self, sandbox.Verb, "--low"}, Embedded: ramdisk.Carried(agents.Files()), CheckStore: []string{self, checkStoreVerb}, Log: log,
	})
	if err != nil {
		return err
	}
	if err = d.Serve(ctx); err != nil && ctx.Err() != nil {
		// It was asked to end, and did not end well: what it knew last may not be stored.
		return exit.With(err, exit.Interrupted)
	}
	return err
}

// examine makes the doctor's checks.
func examine(ctx context.Context, f serveFlags, socket string) ([]doctor.Finding, error) {
	opened, settings, self, err := f.open(nil)
	if err != nil {
		return nil, err
	}
	sandbox := ejs.NewSandbox([]string{self, sandbox.Verb}, ejs.Options{Workers: 1})
	findings, err := doctor.Examine(ctx, doctor.Server{Site: opened, Settings: settings, Socket: socket, Programs: ramdisk.Programs{Self: self, Embedded: ramdisk.Carried(agents.Files())}, Render: sandbox})
	return findings, errors.Join(err, sandbox.Close())
}

// open opens the site, completes its settings, and finds this program's file.
func (f serveFlags) open(log *slog.Logger) (*site.Site, keys.Settings, string, error) {
	opened, err := site.Open(f.site, log)
	if err != nil {
		return nil, keys.Settings{}, "", err
	}
	settings, err := f.settings(opened)
	if err != nil {
		return nil, settings, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, settings, "", fmt.Errorf("find this program's own file: %w", err)
	}
	return opened, settings, self, nil
}

// settings returns the site's settings, with flags in place of what they set and
// defaults in place of what is empty.
func (f serveFlags) settings(opened *site.Site) (keys.Settings, error) {
	s := opened.Settings()
	if len(s.Networks) > 0 && (f.iface != "" || f.dhcp != "") {
		return s, exit.With(errors.New("--interface and --dhcp are for one network, and the site's cloudlets.json has \"networks\": change them there"), exit.Usage)
	}
	if f.dhcp != "" {
		service, err := keys.ParseDHCPService(f.dhcp)
		if err != nil {
			return s, exit.With(fmt.Errorf("--dhcp: %w", err), exit.Usage)
		}
		s.DHCP = service
	}
	if s.DHCP.IsZero() {
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
	if s.Interface == "" && len(s.Networks) == 0 {
		return s, exit.With(errors.New("no interface to serve: say which with --interface, or with \"interface\" or \"networks\" in the site's cloudlets.json"), exit.Usage)
	}
	return s, nil
}
