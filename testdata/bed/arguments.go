package bed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// efi is EDK2 for a kind of machine: its code, the template of its variables,
// and the Debian package that they are of.
type efi struct{ code, vars, debian string }

var (
	ovmf       = efi{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf"}
	ovmfSecure = efi{"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", "ovmf"}
	aavmf      = efi{"/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd", "qemu-efi-aarch64"}
)

// uboot is U-Boot for QEMU's arm64 board, of Debian's package u-boot-qemu.
const uboot = "/usr/lib/u-boot/qemu_arm64/u-boot.bin"

// program is the QEMU that has the machine's processor, and its Debian
// package.
func (s Spec) program() (name, debian string) {
	if s.Arch == ARM64 {
		return "qemu-system-aarch64", "qemu-system-arm"
	}
	return "qemu-system-x86_64", "qemu-system-x86"
}

// check refuses machines that there are none of.
func (s Spec) check() error {
	if s.Arch == ARM64 && s.Firmware == BIOS {
		return errors.New("an arm64 machine has no BIOS")
	}
	if s.Firmware == UBoot && s.Arch != ARM64 {
		return errors.New("the test bed has U-Boot on arm64 only")
	}
	if s.SecureBoot && (s.Firmware == BIOS || s.Arch == ARM64) {
		return errors.New("the test bed has Secure Boot with UEFI on amd64 only")
	}
	return nil
}

// arguments are QEMU's command line.
func (s Spec) arguments(dir, tap string) ([]string, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	memory := s.Memory
	if memory == 0 {
		memory = 1024
	}
	args := append(s.board(), "-m", strconv.Itoa(memory), "-nodefaults", "-display", "none", "-serial", "stdio",
		"-netdev", "tap,id=n0,ifname="+tap+",script=no,downscript=no", "-device", s.nic(), "-device", "virtio-rng-pci")
	for i, mac := range s.Unplugged {
		id := "unplugged" + strconv.Itoa(i)
		args = append(args, "-netdev", "hubport,id="+id+",hubid="+strconv.Itoa(i), "-device", "virtio-net-pci,romfile=,netdev="+id+",mac="+mac)
	}
	if s.Screen {
		args = append(args, "-device", "VGA")
	}
	if s.UUID != "" {
		args = append(args, "-uuid", s.UUID)
	}
	if s.ExitOnReboot {
		args = append(args, "-no-reboot")
	}
	for n, d := range s.Disks {
		args = append(args, d.arguments(n, s.Firmware)...)
	}
	args = append(args, s.kernel()...)
	switch s.Firmware {
	case BIOS:
		return args, nil
	case UBoot:
		return append(args, "-bios", uboot), nil
	}
	return s.uefi(args, dir)
}

// board is the machine without what is plugged into it.
func (s Spec) board() []string {
	switch {
	case s.Arch == ARM64:
		return []string{"-machine", "virt", "-cpu", "cortex-a57", "-accel", emulator}
	case s.Firmware == BIOS:
		return []string{"-machine", "pc,graphics=off", "-accel", accelerator()}
	case s.SecureBoot:
		return []string{"-machine", "q35,graphics=off,smm=on", "-accel", accelerator(), "-global", "driver=cfi.pflash01,property=secure,value=on"}
	}
	return []string{"-machine", "q35,graphics=off", "-accel", accelerator()}
}

// nic is the network card. Without its ROM, a BIOS cannot boot from it, and
// UEFI does by means of its own.
func (s Spec) nic() string {
	nic := "virtio-net-pci,netdev=n0,mac=" + s.MAC
	if s.Firmware != BIOS || s.LocalOnly {
		nic += ",romfile="
	}
	if s.Firmware == UBoot {
		nic += ",disable-legacy=on" // else U-Boot reads a wrong MAC
	}
	switch {
	case s.LocalOnly:
	case s.DisksFirst:
		nic += ",bootindex=" + strconv.Itoa(len(s.Disks)+2) // after the last disk
	default:
		nic += ",bootindex=1"
	}
	return nic
}

func (s Spec) kernel() []string {
	if s.Kernel == nil {
		return nil
	}
	args := []string{"-kernel", s.Kernel.Image, "-append", s.Kernel.Cmdline}
	if s.Kernel.Initrd != "" {
		args = append(args, "-initrd", s.Kernel.Initrd)
	}
	return args
}

func (s Spec) uefi(args []string, dir string) ([]string, error) {
	firmware := ovmf
	switch {
	case s.Arch == ARM64:
		firmware = aavmf
	case s.SecureBoot:
		firmware = ovmfSecure
	}
	template := firmware.vars
	if s.Vars != "" {
		template = s.Vars
	}
	vars := filepath.Join(dir, "vars-"+s.MAC+".fd")
	if err := copyOnce(template, vars); err != nil {
		return nil, fmt.Errorf("prepare UEFI variables: %w (Debian package %s)", err, firmware.debian)
	}
	args = append(args,
		"-drive", "if=pflash,format=raw,readonly=on,file="+firmware.code,
		"-drive", "if=pflash,format=raw,file="+vars)
	if s.Firmware != UEFIv6 {
		args = append(args, "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n")
	}
	if s.Firmware == UEFIHTTP || s.Firmware == UEFIv6 || s.LocalOnly {
		args = append(args, "-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n")
	}
	if s.Authorities != "" {
		args = append(args, "-fw_cfg", "name=etc/edk2/https/cacerts,file="+s.Authorities)
	}
	return args, nil
}

// emulator has QEMU run each processor in a thread.
const emulator = "tcg,thread=multi"

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
	return emulator
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
