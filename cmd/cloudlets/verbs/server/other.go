//go:build !linux

package server

import (
	"context"
	"log/slog"

	"cloudlets/cmd/cloudlets/doctor"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
	"cloudlets/provision/store"
)

// This file refuses what only Linux can do, in one sentence that says what to do
// instead. The verbs and their flags are the same on every system.

func (f serveFlags) serve(context.Context, string, string, *slog.Logger) error {
	return exit.NeedsLinux("serving machines", "run it there")
}

// toEtcd refuses to restore into etcd, which only servers use.
func (f restoreFlags) toEtcd(context.Context, keys.Settings, string, func(store.Store) error) (string, error) {
	return "", exit.NeedsLinux("restoring into etcd", "run it where serve runs")
}

// examine checks the site's files. All other checks need Linux.
func examine(ctx context.Context, f serveFlags, _ string) ([]doctor.Finding, error) {
	site, err := site.Open(f.site, nil)
	if err != nil {
		return nil, err
	}
	rest := exit.NeedsLinux("looking at the network, the boot loaders and the images", "run doctor where serve will run")
	return append(doctor.Files(site), doctor.Found("what serve needs of its host", rest)), ctx.Err()
}
