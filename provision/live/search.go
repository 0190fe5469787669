package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/disk/iso"
	"cloudlets/images/pause"
)

// lookAgain is the time between two searches of all disks.
const lookAgain = 250 * time.Millisecond

// search searches the machine's disks for a medium.
type search struct {
	dir string // the kernel's list: /sys/class/block
	dev string // where their files are: /dev
	id  uuid.UUID
}

// wait searches until it finds the medium or ctx ends. Before each search it calls
// loadNew to load drivers for devices that appeared.
func (s search) wait(ctx context.Context, loadNew func(context.Context) error) (string, error) {
	var latest []string
	for {
		if err := loadNew(ctx); err != nil && ctx.Err() == nil {
			return "", fmt.Errorf("load drivers: %w", err)
		}
		found, all, err := s.look()
		if err != nil || found != "" {
			return found, err
		}
		if len(all) > 0 {
			latest = all
		}
		if pause.For(ctx, lookAgain) != nil {
			return "", s.notFound(latest)
		}
	}
}

// notFound is the error that says which disks were found instead.
func (s search) notFound(disks []string) error {
	if len(disks) == 0 {
		return fmt.Errorf("find the medium %s: the kernel shows no disk and no CD drive; it may lack the driver of their controller", s.id)
	}
	return fmt.Errorf("find the medium %s: it is on none of %s; put it in again if it was taken out, or else the kernel may lack the driver of its controller",
		s.id, strings.Join(disks, ", "))
}

// look reads every disk once. It returns the disk that has the medium, or else a
// description of all disks.
func (s search) look() (found string, all []string, err error) {
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return "", nil, fmt.Errorf("list disks: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name.Name(), "loop") || strings.HasPrefix(name.Name(), "ram") {
			continue
		}
		file := filepath.Join(s.dev, name.Name())
		id, err := readID(file)
		if err == nil && id == s.id {
			return file, nil, nil
		}
		all = append(all, name.Name()+" ("+describe(id, err)+")")
	}
	return "", all, nil
}

func readID(file string) (uuid.UUID, error) {
	f, err := os.Open(file)
	if err != nil {
		return uuid.Nil, err
	}
	defer f.Close()
	return iso.ReadID(f)
}

// describe says in a few words why a disk is not the medium.
func describe(id uuid.UUID, err error) string {
	switch {
	case err == nil:
		return "another medium, " + id.String()
	case errors.Is(err, iso.ErrNotISO):
		return "something else"
	case errors.Is(err, syscall.ENOMEDIUM):
		return "empty"
	}
	return err.Error()
}
