//go:build linux

package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloudlets/provision/site/keys"
	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
)

// keeper is an open store, and what only some forms of it can do.
type keeper struct {
	store.Store
	io.Closer
	// backup writes a copy of the store; nil if this form cannot.
	backup func(context.Context, io.Writer) error
	// away returns since when the store cannot be reached, and why; nil if it is
	// a file.
	away func() (time.Time, error)
}

// openStore opens the store: the file in the state folder, or etcd.
func (d *Daemon) openStore(ctx context.Context) (keeper, error) {
	if d.Settings.Store.Shared() {
		return openEtcd(ctx, d.Settings.Store, d.Log)
	}
	return d.openFile(ctx)
}

// openFile checks the store's file and opens it.
func (d *Daemon) openFile(ctx context.Context) (keeper, error) {
	path := filepath.Join(d.Settings.State, store.FileName)
	err := store.CheckApart(ctx, d.CheckStore, path)
	if errors.Is(err, store.ErrInUse) { // opening waits a moment, and says who uses it
		busy, openErr := store.OpenFile(path)
		if openErr != nil {
			return keeper{}, openErr
		}
		if err := busy.Close(); err != nil {
			return keeper{}, err
		}
		err = store.CheckApart(ctx, d.CheckStore, path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.tellOfNewStore()
	case err != nil:
		return keeper{}, err
	}
	file, err := store.OpenFile(path)
	if err != nil {
		return keeper{}, err
	}
	return keeper{Store: file, Closer: file, backup: file.Backup}, nil
}

// tellOfNewStore warns of a store that is made anew beside packs of an older
// one.
func (d *Daemon) tellOfNewStore() {
	if packs, _ := os.ReadDir(filepath.Join(d.Settings.State, "depot", "files")); len(packs) > 0 {
		d.Log.Warn("the state folder has packed images and no "+store.FileName+": if that was lost, stop this server and put a backup in its place with `cloudlets restore`, since machines whose files say \"install\": \"once\" would be installed again",
			"folder", d.Settings.State)
	}
}

// EtcdOptions are how to reach a store in etcd.
func EtcdOptions(s keys.StoreSettings) (o etcd.Options, err error) {
	o = etcd.Options{Endpoints: s.Etcd, User: s.User, Prefix: s.Prefix}
	if o.TLS, err = etcdTLS(s.TLS); err != nil {
		return o, err
	}
	if s.PasswordFile != "" {
		password, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return o, fmt.Errorf("read the password of %s: %w", s.User, err)
		}
		o.Password = strings.TrimRight(string(password), "\r\n")
	}
	return o, nil
}

// openEtcd opens the store in etcd, and waits until that answers.
func openEtcd(ctx context.Context, s keys.StoreSettings, log *slog.Logger) (keeper, error) {
	o, err := EtcdOptions(s)
	if err != nil {
		return keeper{}, fmt.Errorf("open the store in etcd: %w", err)
	}
	o.Log = log
	kept, err := etcd.Open(ctx, o)
	if err != nil {
		return keeper{}, err
	}
	return keeper{Store: kept, Closer: kept, backup: kept.Backup, away: kept.Away}, nil
}

// etcdTLS reads the certificates for etcd. It returns nil if none are named.
func etcdTLS(files keys.StoreTLS) (*tls.Config, error) {
	if files == (keys.StoreTLS{}) {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if files.CA != "" {
		text, err := os.ReadFile(files.CA)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to trust: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the certificates to trust: %s has none in PEM form", files.CA)
		}
	}
	if files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of this server: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
