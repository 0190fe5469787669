//go:build linux

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloudlets/images/atomicfile"
	"cloudlets/provision/members"
	"cloudlets/provision/track"
)

// idFile has the ID of this server. It is in the state folder.
const idFile = "server-id"

// serverID returns the ID of this server, and makes it when there is none yet.
func (d *Daemon) serverID() (string, error) {
	path := filepath.Join(d.Settings.State, idFile)
	text, err := os.ReadFile(path)
	if id := string(bytes.TrimSpace(text)); err == nil && id != "" && len(id) <= 64 {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the ID of this server: %w", err)
	}
	id := members.NewID()
	if err := atomicfile.Write(path, 0o600, atomicfile.Text([]byte(id+"\n"))); err != nil {
		return "", fmt.Errorf("keep the ID of this server: %w", err)
	}
	return id, nil
}

// join makes this server known to those that share its store.
func (d *Daemon) join(ctx context.Context) error {
	id, err := d.serverID()
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		name = d.places.first().String()
	}
	d.members, err = members.Join(ctx, d.store, members.Member{
		ID: id, Name: name, URL: d.baseURL(netip.Addr{}), URLs: d.urls(d.baseURL), Secure: d.secureURLs(), Version: d.Version, Started: d.started, Site: d.Site.Digest(),
	}, track.Slots, d.Log)
	return err
}

// others are the URLs of the servers that share the store, for a machine that
// reaches this one at an address.
func (d *Daemon) others(own netip.Addr) []string {
	return d.elsewhere(own, func(m members.Member) []string { return append([]string{m.URL}, m.URLs...) })
}

// secureOthers are those URLs for HTTPS.
func (d *Daemon) secureOthers(own netip.Addr) []string {
	return d.elsewhere(own, func(m members.Member) []string { return m.Secure })
}

// elsewhere are the URLs of the other servers, one of each that has any. Their order
// differs from server to server, so that they share what one leaves to them.
func (d *Daemon) elsewhere(own netip.Addr, urls func(members.Member) []string) []string {
	subnet := d.places.subnetOf(own)
	self, live := d.members.Self(), d.members.Live()
	at := slices.IndexFunc(live, func(m members.Member) bool { return m.ID == self.ID })
	var all []string
	for _, m := range slices.Concat(live[at+1:], live[:at]) {
		if of := urls(m); len(of) > 0 {
			all = append(all, nearest(of, subnet))
		}
	}
	return all
}

// nearest is the URL of a server in a subnet, or else its first one.
func nearest(urls []string, subnet netip.Prefix) string {
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && subnet.Contains(addr) {
			return text
		}
	}
	return urls[0]
}

// urls are where machines of the networks reach this server.
func (d *Daemon) urls(base func(netip.Addr) string) (all []string) {
	for _, own := range d.places.addrs() {
		if u := base(own); !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

// compareSites tells the other servers what this one's copy of the site is, and
// warns when copies differ.
func (d *Daemon) compareSites(ctx context.Context) error {
	changes := d.Site.Changes(ctx)
	said := ""
	for {
		changed := d.members.Changed()
		if err := d.members.SetSite(ctx, d.Site.Digest()); err != nil && ctx.Err() == nil {
			d.Log.Warn("the other servers are not told of this one's copy of the site", "error", err)
		}
		if differ := d.differing(); differ != said {
			said = differ
			if differ != "" {
				d.Log.Warn("copies of the site differ: a machine gets what the server says that answers it; make them the same", "servers", differ)
			} else {
				d.Log.Info("all servers have the same copy of the site again")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		case <-changed:
		}
	}
}

// differing are the names and addresses of the servers whose copy of the site differs from this
// one's.
func (d *Daemon) differing() string {
	var names []string
	for _, m := range d.members.Live() {
		if m.Site != d.Site.Digest() {
			names = append(names, m.Name+" at "+m.URL)
		}
	}
	return strings.Join(names, ", ")
}
