package httpboot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"time"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/owndisk"
	"cloudlets/httpboot/requests"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki"
	"cloudlets/provision"
)

// ownDiskFor returns the boot file that starts the disk of a machine from its firmware, or ""
// if there is none. A boot file that the machine's file names goes before it, and is what a
// person sets whose firmware cannot start the program. Shim starts nothing but GRUB.
func (c *Chain) ownDiskFor(mac provision.MAC, client dhcp.Client, spec *provision.Spec) string {
	firmware := client.Firmware.UEFI() && (client.Kind == dhcp.PXE || client.Kind == dhcp.HTTPBoot)
	if !firmware || spec.Quirks.BootFile != "" || spec.SecureBoot == provision.ByShim {
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

// bootPartitions are those of the system that this server installed on a machine.
func (c *Chain) bootPartitions(mac provision.MAC) []string {
	if has := c.State(mac).Has; has != nil {
		return has.BootPartitions
	}
	return nil
}

// ownDiskProgram makes the program that starts the disk of a machine, if the machine shall
// start that now.
func (c *Chain) ownDiskProgram(ctx context.Context, mac provision.MAC, arch string) ([]byte, provision.Decision, error) {
	spec, decision := c.Decide(mac)
	if decision.Action != provision.ActionLocal {
		return nil, decision, errors.New("the machine shall not start its own disk now: " + decision.Reason)
	}
	partitions := c.bootPartitions(mac)
	if len(partitions) == 0 {
		return nil, decision, errors.New("this server has not installed the machine, so its firmware goes on in its boot order")
	}
	program, err := owndisk.Program(bootloader.Arch(arch), owndisk.Disk{Partitions: partitions, Text: decision.Reason})
	if err != nil || spec.SecureBoot != provision.ByOwner {
		return program, decision, err
	}
	owner, err := c.Depot.Owner()
	if err != nil {
		return nil, decision, fmt.Errorf("sign the program that starts the disk: %w", err)
	}
	signed, err := owner.Sign(ctx, uki.Bytes(program))
	if err != nil {
		return nil, decision, fmt.Errorf("sign the program that starts the disk: %w", err)
	}
	program, err = contentOf(signed)
	return program, decision, err
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
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, requests.Printable(err.Error()), http.StatusNotFound)
		return
	}
	ctx, from := r.Context(), requests.RemoteAddr(r)
	program, decision, err := c.ownDiskProgram(ctx, mac, dialect.OwnDiskArch(r.PathValue("file")))
	if err != nil {
		http.Error(w, requests.Printable(err.Error()), http.StatusNotFound)
		if c.Spec(mac) != nil {
			c.Record(ctx, provision.Event{
				MAC: mac, Kind: provision.KindHTTP, Text: "its firmware was told 404 by " + requests.Protocol(r) + ", so that it goes on to its own disk", Reason: err.Error(),
			})
			c.sentAway(ctx, mac, from, decision)
		}
		return
	}
	w.Header().Set("Content-Type", contentType(r.URL.Path))
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(program))
	if r.Method == http.MethodGet {
		c.startsOwnDisk(ctx, mac, from, decision)
	}
}

// startsOwnDisk records that a machine's firmware has the program that starts its disk.
func (c *Chain) startsOwnDisk(ctx context.Context, mac provision.MAC, from netip.Addr, decision provision.Decision) {
	if err := c.told(ctx, from, toDisk(mac, decision)); err != nil {
		c.Logger().Warn("an order to boot from the own disk was not noted as done", "machine", mac, "error", err)
	}
}

// ownDiskFile opens the same program for TFTP. That has no effect, since firmware may open it
// first to learn its size: [Chain.SawTransfer] tells whether it has the program.
func (b bootFiles) ownDiskFile(ctx context.Context, mac provision.MAC, arch string) (fs.File, error) {
	program, _, err := b.ownDiskProgram(ctx, mac, arch)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return textFile(dialect.OwnDisk(mac, arch), string(program)), nil
}

// SawTransfer records the end of a TFTP transfer of size bytes, or why it failed, and what
// follows from it.
func (c *Chain) SawTransfer(remote netip.Addr, name string, size int64, err error) {
	c.Machines.SawTransfer(remote, name, size, err)
	mac, _, ok := dialect.OwnDiskOf(name)
	if !ok || err != nil {
		return
	}
	if _, decision := c.Decide(mac); decision.Action == provision.ActionLocal {
		c.startsOwnDisk(context.Background(), mac, remote.Unmap(), decision)
	}
}
