package httpboot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/owndisk"
	"cloudlets/httpboot/requests"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/provision"
)

// ownDiskFor returns the boot file that starts the disk of a machine from its firmware, or ""
// if there is none. A boot file that the machine's file names goes before it. Shim starts nothing
// but GRUB.
func (c *Chain) ownDiskFor(mac provision.MAC, client dhcp.Client, spec *provision.Spec) string {
	firmware := client.Firmware.UEFI() && (client.Kind == dhcp.PXE || client.Kind == dhcp.HTTPBoot)
	if !firmware || spec.Quirks.BootFile != "" || spec.Quirks.FirmwareOrder || spec.SecureBoot == provision.ByShim {
		return ""
	}
	arch := processor(client)
	if !owndisk.Has(bootloader.Arch(arch)) || len(c.bootPartitions(mac)) == 0 {
		return ""
	}
	name := dialect.OwnDisk(mac, arch)
	if client.Kind == dhcp.HTTPBoot {
		return c.firmwareBase(client.Server, spec) + "/" + name
	}
	return name
}

// bootPartitions are those of the system that this server installed on a machine, as far as
// what was reported names partitions.
func (c *Chain) bootPartitions(mac provision.MAC) (ids []string) {
	if has := c.State(mac).Has; has != nil {
		for _, id := range has.BootPartitions {
			if uuid.Validate(id) == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// ownDiskProgram makes the program that starts the disk of a machine, if it was decided that
// the machine starts that now.
func (c *Chain) ownDiskProgram(ctx context.Context, mac provision.MAC, arch string, spec *provision.Spec, decision provision.Decision) ([]byte, error) {
	if decision.Action != provision.ActionLocal {
		return nil, errors.New("the machine shall not start its own disk now: " + decision.Reason)
	}
	partitions := c.bootPartitions(mac)
	if len(partitions) == 0 || spec.Quirks.FirmwareOrder {
		return nil, errors.New("its firmware goes on in its boot order")
	}
	program, err := owndisk.Program(bootloader.Arch(arch), partitions)
	if err != nil || spec.SecureBoot != provision.ByOwner {
		return program, err
	}
	if program, err = c.signed.sign(ctx, c.Depot.Owner, program); err != nil {
		err = fmt.Errorf("sign the program that starts the disk: %w", err)
	}
	return program, err
}

// maxSigned bounds how many signed programs are kept, of 6 kB each.
const maxSigned = 1024

// signedPrograms are programs that were signed, by the key and what was signed: a signature
// takes a processor a millisecond, and anybody may ask for one again and again. One is made at a time.
type signedPrograms struct {
	mu   sync.Mutex
	made map[[sha256.Size]byte][]byte
}

// sign returns a program with the signature of the machines' owner.
func (s *signedPrograms) sign(ctx context.Context, owner func() (*signing.Key, error), program []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := owner()
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(append([]byte(key.Fingerprint()), program...))
	if signed, ok := s.made[id]; ok {
		return signed, nil
	}
	file, err := key.Sign(ctx, uki.Bytes(program))
	if err != nil {
		return nil, err
	}
	signed, err := contentOf(file)
	if err != nil {
		return nil, err
	}
	if s.made == nil || len(s.made) >= maxSigned {
		s.made = map[[sha256.Size]byte][]byte{}
	}
	s.made[id] = signed
	return signed, nil
}

// contentOf reads a small program.
func contentOf(f uki.File) (_ []byte, err error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	content := make([]byte, f.Size)
	_, err = io.ReadFull(r, content)
	return content, err
}

// ownDisk serves the program that starts a machine's disk to UEFI HTTP Boot. Firmware that is
// told that there is none goes on to its next boot device.
func (c *Chain) ownDisk(w http.ResponseWriter, r *http.Request) {
	mac, arch, ok := dialect.OwnDiskOf(strings.TrimPrefix(r.URL.Path, "/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	ctx, from := r.Context(), requests.RemoteAddr(r)
	spec, decision := c.Decide(mac)
	program, err := c.ownDiskProgram(ctx, mac, arch, spec, decision)
	if err != nil {
		// The trace has the reason: it may be the owner's key, which is no stranger's business.
		http.Error(w, "there is no program that starts this machine's own disk; its firmware goes on in its boot order", http.StatusNotFound)
		if spec != nil {
			c.Record(ctx, provision.Event{
				MAC: mac, Kind: provision.KindHTTP, Text: "its firmware was told 404 by " + requests.Protocol(r) + ", so that it goes on in its boot order", Reason: err.Error(),
			})
			c.sentAway(ctx, mac, from, spec, decision)
		}
		return
	}
	w.Header().Set("Content-Type", contentType(r.URL.Path))
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(program))
	if r.Method == http.MethodGet && r.Header.Get("Range") == "" {
		c.startsOwnDisk(ctx, mac, from, spec, decision)
	}
}

// startsOwnDisk records that a machine's firmware has the program that starts its disk.
func (c *Chain) startsOwnDisk(ctx context.Context, mac provision.MAC, from netip.Addr, spec *provision.Spec, decision provision.Decision) {
	if err := c.told(ctx, from, toDisk(mac, spec, decision)); err != nil {
		c.Logger().Warn("an order to boot from the own disk was not noted as done", "machine", mac, "error", err)
	}
}

// ownDiskFile opens the same program for TFTP. That has no effect, since firmware may open it
// first to learn its size: [Chain.SawTransfer] tells whether it has the program.
func (b bootFiles) ownDiskFile(ctx context.Context, mac provision.MAC, arch string) (fs.File, error) {
	spec, decision := b.Decide(mac)
	program, err := b.ownDiskProgram(ctx, mac, arch, spec, decision)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return textFile(dialect.OwnDisk(mac, arch), string(program)), nil
}

// Transfer is a TFTP transfer that has ended.
type Transfer struct {
	Remote netip.Addr
	Name   string
	Bytes  int64
	// Probe says that the client only asked for the file's size.
	Probe bool
	// Whole says that the client was sent all of the file, whether or not its last word arrived.
	Whole bool
	Err   error // why it failed
}

// SawTransfer records the end of a TFTP transfer. Firmware that has the whole program that
// starts its disk does so.
func (c *Chain) SawTransfer(t Transfer) {
	if t.Probe {
		return
	}
	mac, _, ownDisk := dialect.OwnDiskOf(t.Name)
	if ownDisk && t.Whole {
		t.Err = nil
	}
	c.Machines.SawTransfer(t.Remote, t.Name, t.Bytes, t.Err)
	if !ownDisk || t.Err != nil {
		return
	}
	if spec, decision := c.Decide(mac); decision.Action == provision.ActionLocal {
		c.startsOwnDisk(context.Background(), mac, t.Remote.Unmap(), spec, decision)
	}
}
