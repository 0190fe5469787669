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
)

// pause is how long to wait between two looks at all disks.
const pause = 250 * time.Millisecond

// search looks for a medium.
type search struct {
	dir string // the kernel's list: /sys/class/block
	dev string // where their files are: /dev
	id  uuid.UUID
}

// wait looks until the medium is there, or ctx ends. Before each look it lets
// drivers be loaded for what appeared.
func (s search) wait(ctx context.Context, loadNew func(context.Context) error) (string, error) {
	var seen []string
	for {
		if err := loadNew(ctx); err != nil && ctx.Err() == nil {
			return "", fmt.Errorf("load drivers: %w", err)
		}
		found, all, err := s.look()
		if err != nil || found != "" {
			return found, err
		}
		if len(all) > 0 {
			seen = all
		}
		select {
		case <-ctx.Done():
			return "", s.notFound(seen)
		case <-time.After(pause):
		}
	}
}

// notFound says what there is instead.
func (s search) notFound(seen []string) error {
	if len(seen) == 0 {
		return fmt.Errorf("find the medium %s: the kernel shows no disk and no CD drive: it may lack the driver of their controller", s.id)
	}
	return fmt.Errorf("find the medium %s: it is on none of %s: was it taken out, or is its controller one that the kernel has no driver for?",
		s.id, strings.Join(seen, ", "))
}

// look looks at every disk once: one that has the medium, or what all have.
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
		return "another one, " + id.String()
	case errors.Is(err, iso.ErrNotISO):
		return "something else"
	case errors.Is(err, syscall.ENOMEDIUM):
		return "empty"
	}
	return err.Error()
}
