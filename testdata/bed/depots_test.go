package bed_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cloudlets/testdata/bed"
)

// depots are what daemons have made of the images that most tests have: packs, kernels and
// RAM disks. They are the same for all, and took as long to make as a machine to boot, so
// each is made once.
var depots = depotsMade{made: map[string]func() (string, error){}}

type depotsMade struct {
	dir string

	mu   sync.Mutex
	made map[string]func() (string, error)
}

// giveDepot gives a daemon that does not run yet what was made of an image, under the name
// that the image has in its site. It makes it first, if no test has had it.
func giveDepot(depot, name, image string) error {
	if image != small && image != debian {
		return nil
	}
	from, err := depots.of(name, image)
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(depot, strings.TrimPrefix(file, from))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		// A daemon replaces files, and never writes into one.
		if err := os.Link(file, to); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

// of returns the depot of an image, which has a name.
func (m *depotsMade) of(name, image string) (string, error) {
	m.mu.Lock()
	key := name + " " + image
	if m.made[key] == nil {
		m.made[key] = sync.OnceValues(func() (string, error) { return m.make(name, image) })
	}
	made := m.made[key]
	m.mu.Unlock()
	return made()
}

// make runs a daemon until the image is ready.
func (m *depotsMade) make(name, image string) (depot string, err error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	dir, err := os.MkdirTemp(m.dir, "depot-")
	if err != nil {
		return "", err
	}
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	if err := bed.NewSite(filepath.Join(dir, "site"), image, name); err != nil {
		return "", err
	}
	if err := bed.WriteMachine(filepath.Join(dir, "site"), "52:54:00:00:00:ff", object{"image": name, "hostname": "nobody"}); err != nil {
		return "", err
	}
	daemon, err := serve(ctx, network, dir, asServer...)
	if err != nil {
		return "", err
	}
	for !strings.Contains(daemon.Log(), "an image is ready") {
		select {
		case <-ctx.Done():
			return "", errors.Join(fmt.Errorf("the image %s was not made ready; log:\n%s", name, daemon.Log()), daemon.Stop())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return filepath.Join(dir, "state", "depot"), daemon.Stop()
}
