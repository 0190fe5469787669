package bed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Firmware is what a virtual machine starts with.
type Firmware string

// The firmwares, and for UEFI the way in which it boots from the network.
const (
	BIOS     Firmware = "BIOS"      // SeaBIOS, with the NIC's own iPXE ROM
	UEFI     Firmware = "UEFI"      // OVMF, by its PXE stack
	UEFIHTTP Firmware = "UEFI-HTTP" // OVMF, by HTTP Boot only
)

// OVMF's code and the template of its variables, of Debian's package ovmf.
const (
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// Spec says what a virtual machine is made of.
type Spec struct {
	MAC      string
	Firmware Firmware
	Disks    []Disk
	// Memory is in MiB; 0 is 1024.
	Memory int
	// LocalOnly leaves the network out of the boot order.
	LocalOnly bool
	// ExitOnReboot ends the machine when it resets itself.
	ExitOnReboot bool
}

// Disk is a virtual disk in a file.
type Disk struct {
	File   string
	Serial string
	// Format is one that QEMU knows, "qcow2"; "" is raw.
	Format string
}

// Machine is a virtual machine that is switched on.
type Machine struct {
	Spec    Spec
	Console *Console

	network *Network
	cmd     *exec.Cmd
	done    chan struct{}
	err     error
}

// Start switches a machine on, in the network. State that outlives a power
// cycle, such as UEFI variables, is kept in dir.
func Start(ctx context.Context, n *Network, dir string, spec Spec) (*Machine, error) {
	tap, err := n.Tap(ctx)
	if err != nil {
		return nil, err
	}
	args, err := spec.arguments(dir, tap)
	if err != nil {
		return nil, err
	}
	cmd := n.Command(ctx, "qemu-system-x86_64", args...)
	m := &Machine{Spec: spec, network: n, cmd: cmd, done: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a virtual machine: %w (Debian package qemu-system-x86)", err)
	}
	m.Console = newConsole(out, in)
	go m.wait()
	return m, nil
}

func (m *Machine) wait() {
	<-m.Console.closed // all output is read before Wait closes the pipe
	m.err = m.cmd.Wait()
	close(m.done)
}

// Done is closed when the machine is off.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Stop switches the machine off, by pid, and waits until it is gone.
func (m *Machine) Stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.done:
	case <-time.After(10 * time.Second):
		_ = m.cmd.Process.Kill()
		<-m.done
	}
}

func (s Spec) arguments(dir, tap string) ([]string, error) {
	memory := s.Memory
	if memory == 0 {
		memory = 1024
	}
	args := []string{
		"-accel", accelerator(), "-m", strconv.Itoa(memory), "-nodefaults", "-display", "none", "-serial", "stdio",
		"-netdev", "tap,id=n0,ifname=" + tap + ",script=no,downscript=no",
		"-device", "virtio-rng-pci",
	}
	if s.ExitOnReboot {
		args = append(args, "-no-reboot")
	}
	args = append(args, s.disks()...)
	if s.Firmware == BIOS {
		nic := "virtio-net-pci,netdev=n0,mac=" + s.MAC
		if !s.LocalOnly {
			nic += ",bootindex=1"
		} else {
			nic += ",romfile="
		}
		return append(args, "-machine", "pc,graphics=off", "-device", nic), nil
	}
	return s.uefi(args, dir)
}

func (s Spec) uefi(args []string, dir string) ([]string, error) {
	vars := filepath.Join(dir, "vars-"+s.MAC+".fd")
	if err := copyOnce(ovmfVars, vars); err != nil {
		return nil, fmt.Errorf("prepare UEFI variables: %w (Debian package ovmf)", err)
	}
	nic := "virtio-net-pci,netdev=n0,romfile=,mac=" + s.MAC
	if !s.LocalOnly {
		nic += ",bootindex=1"
	}
	args = append(args, "-machine", "q35,graphics=off", "-device", nic,
		"-drive", "if=pflash,format=raw,readonly=on,file="+ovmfCode,
		"-drive", "if=pflash,format=raw,file="+vars,
		"-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n")
	if s.Firmware == UEFIHTTP || s.LocalOnly {
		args = append(args, "-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n")
	}
	return args, nil
}

func (s Spec) disks() []string {
	var args []string
	for i, d := range s.Disks {
		id := "d" + strconv.Itoa(i)
		device := fmt.Sprintf("virtio-blk-pci,drive=%s,bootindex=%d", id, i+2)
		if d.Serial != "" {
			device += ",serial=" + d.Serial
		}
		format := d.Format
		if format == "" {
			format = "raw"
		}
		args = append(args, "-drive", "if=none,format="+format+",discard=unmap,cache=unsafe,id="+id+",file="+d.File, "-device", device)
	}
	return args
}

// accelerator picks KVM only where the processor has the feature too: a
// /dev/kvm alone is no proof.
func accelerator() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	if err == nil && hasVirtualisation(string(info)) {
		return "kvm"
	}
	return "tcg,thread=multi"
}

// NewDisk makes an empty disk of size bytes, as a sparse file.
func NewDisk(file string, size int64) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func copyOnce(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Network names the namespace that the machine is in.
func (m *Machine) Network() string { return m.network.Name }
