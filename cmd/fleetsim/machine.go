//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision/wire"
)

// firmware is what a machine starts with.
type firmware string

const (
	bios     firmware = "bios" // a PXE ROM
	uefi     firmware = "uefi" // EDK2's PXE
	httpBoot firmware = "http" // EDK2's HTTP Boot
	ipxeROM  firmware = "ipxe" // an iPXE in the network card
)

func (f firmware) known() bool { return f == bios || f == uefi || f == httpBoot || f == ipxeROM }

// machine is one simulated machine.
type machine struct {
	number   int
	mac      net.HardwareAddr
	firmware firmware
	air      *air
	rate     int64 // bytes in a second of its link; 0 means no bound
	notes    *notes
	disk     int64 // bytes that were written to it
	burns    bool  // its install fails while it writes
}

// These are how long things take in a machine that have nothing to do with the
// server: a kernel starts, drivers are loaded, a disk is partitioned.
const (
	kernelStart = 2 * time.Second
	jitter      = time.Second
	// bootTries is how often a firmware goes through its boot order, and bootPause
	// how long it takes for the entries after the network.
	bootTries = 3
	bootPause = 20 * time.Second
)

// install switches the machine on, and returns when it is installed.
func (m *machine) install(ctx context.Context) error {
	on := time.Now()
	l, params, err := m.startAgent(ctx)
	if err != nil {
		return err
	}
	if params.Inspect {
		if err := m.inspect(ctx, l.addr, params); err != nil {
			return err
		}
		if l, params, err = m.startAgent(ctx); err != nil {
			return err
		}
		if params.Inspect {
			return errors.New("it was approved, and is inspected again")
		}
	}
	if err := m.runAgent(ctx, l.addr, params); err != nil {
		return err
	}
	m.notes.took("switched on to installed", time.Since(on))
	return nil
}

// startAgent takes the machine from its firmware to the agent in its RAM disk.
func (m *machine) startAgent(ctx context.Context) (l lease, params wire.Params, err error) {
	l, script, err := m.bootAnew(ctx)
	if err != nil {
		return l, params, err
	}
	b, err := parseScript(script)
	if err != nil {
		return l, params, err
	}
	if b.kernel == "" {
		return l, params, fmt.Errorf("the script does not install: %s", b.says)
	}
	began := time.Now()
	for _, file := range []string{b.kernel, b.ramdisk} {
		if err := m.fetchByIPXE(ctx, l.addr, file); err != nil {
			return l, params, err
		}
	}
	m.notes.took("kernel and RAM disk", time.Since(began))
	if err := pause.For(ctx, kernelStart+rand.N(jitter)); err != nil {
		return l, params, err
	}
	if l, err = agentDHCP.ask(ctx, m.air, m.mac, m.notes); err != nil {
		return l, params, err
	}
	params, err = wire.ParseParams(b.words)
	return l, params, err
}

// again switches an installed machine on: it must be sent to its disk.
func (m *machine) again(ctx context.Context) error {
	_, script, err := m.bootAnew(ctx)
	if errors.Is(err, errNoFile) {
		return nil
	}
	if err != nil {
		return err
	}
	if b, err := parseScript(script); err != nil || b.kernel != "" {
		return fmt.Errorf("an installed machine is told to install again: %w", err)
	}
	return nil
}

// errNoFile says that the server names no boot file, so that the firmware boots
// from the disk.
var errNoFile = errors.New("no boot file was named")

// bootAnew is boot, and again when it fails, as firmware goes through its boot order
// again.
func (m *machine) bootAnew(ctx context.Context) (l lease, script string, err error) {
	l, script, err = m.boot(ctx)
	for try := 1; err != nil && !errors.Is(err, errNoFile) && try < bootTries && ctx.Err() == nil; try++ {
		m.notes.count("firmware: began anew")
		if pause.For(ctx, bootPause) != nil {
			break
		}
		l, script, err = m.boot(ctx)
	}
	return l, script, err
}

// boot takes the machine from its firmware to the script of an iPXE.
func (m *machine) boot(ctx context.Context) (l lease, script string, err error) {
	client := ipxeBIOS
	if m.firmware != ipxeROM {
		if err := m.startLoader(ctx); err != nil {
			return l, "", err
		}
		if m.firmware != bios {
			client = ipxeUEFI
		}
	}
	if l, err = client.ask(ctx, m.air, m.mac, m.notes); err != nil {
		return l, "", err
	}
	if l.file == "" {
		return l, "", errNoFile
	}
	began := time.Now()
	script, err = m.fetchScript(ctx, l.addr, l.file)
	m.notes.took("script", time.Since(began))
	return l, script, err
}

// startLoader has the firmware fetch the boot loader.
func (m *machine) startLoader(ctx context.Context) error {
	client := map[firmware]dhcpClient{bios: biosROM, uefi: uefiROM, httpBoot: uefiHTTP}[m.firmware]
	l, err := client.ask(ctx, m.air, m.mac, m.notes)
	if err != nil {
		return err
	}
	if l.file == "" {
		return errNoFile
	}
	began := time.Now()
	if m.firmware == httpBoot {
		_, _, err = get(ctx, l.addr, l.file, 0, m.rate)
	} else {
		_, err = fetchTFTP(ctx, m.air, l.addr, l, m.firmware == uefi, m.notes)
	}
	m.notes.took("boot loader", time.Since(began))
	return err
}

// script is what an iPXE script tells a machine.
type bootScript struct {
	kernel, ramdisk string // URLs
	words           string // the kernel's command line
	again           string // the URL of the script to ask for in a moment
	says            string
}

func parseScript(text string) (b bootScript, err error) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " &&")
		line, _, _ = strings.Cut(line, " ||")
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "kernel":
			b.kernel, b.words, _ = strings.Cut(rest, " ")
		case "initrd":
			b.ramdisk = rest[strings.LastIndex(rest, " ")+1:]
		case "chain":
			b.again = rest[strings.LastIndex(rest, " ")+1:]
		case "echo":
			if b.says == "" {
				b.says = rest
			}
		}
	}
	if !strings.HasPrefix(text, "#!ipxe") {
		return b, fmt.Errorf("%.40q is no iPXE script", text)
	}
	return b, nil
}

// fetchScript fetches the script, and again while the server says so.
func (m *machine) fetchScript(ctx context.Context, from netip.Addr, url string) (string, error) {
	for {
		text, _, err := get(ctx, from, url, maxScript, 0)
		if err != nil {
			return "", err
		}
		b, err := parseScript(string(text))
		if err != nil || b.again == "" || b.kernel != "" {
			return string(text), err
		}
		m.notes.count("iPXE: the image was not ready")
		if err := pause.For(ctx, 3*time.Second); err != nil {
			return "", err
		}
		url = b.again
	}
}

// What the boot script says of files that cannot be fetched.
const (
	fetchTries = 75
	fetchPause = 8 * time.Second
)

// fetchByIPXE fetches a file as the script says: several times if need be.
func (m *machine) fetchByIPXE(ctx context.Context, from netip.Addr, url string) (err error) {
	for try := range fetchTries {
		if try > 0 {
			m.notes.count("iPXE: fetched a file again")
			if err := pause.For(ctx, fetchPause); err != nil {
				return err
			}
		}
		if _, _, err = get(ctx, from, url, 0, m.rate); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}
