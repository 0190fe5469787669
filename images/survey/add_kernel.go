package survey

// kernelCommands install a kernel and an init by the package manager of a
// distribution. Container images have neither.
var kernelCommands = map[string]string{
	"ubuntu":       "sh -c 'apt-get update && apt-get install -y linux-image-generic systemd-sysv'",
	string(Debian): "sh -c 'apt-get update && apt-get install -y linux-image-amd64 systemd-sysv'",
	string(Alpine): "apk add alpine-base linux-lts",
	string(RedHat): "dnf install -y kernel systemd",
	string(Arch):   "pacman -Syu --noconfirm linux mkinitcpio",
	string(SUSE):   "zypper -n install kernel-default systemd",
	string(Void):   "xbps-install -Sy base-system linux",
	string(Gentoo): "emerge sys-kernel/gentoo-kernel-bin",
}

// AddKernel returns a command, to be run in the image, that adds a kernel and an
// init. It returns "" if the image has a kernel, or if its distribution is not
// known.
func (f Findings) AddKernel() string {
	if len(f.Kernels) > 0 {
		return ""
	}
	command := kernelCommands[f.Distribution.ID]
	if command == "" {
		command = kernelCommands[string(f.Distribution.Family)]
	}
	if f.Arch == "arm64" && f.Distribution.Family == Debian && f.Distribution.ID != "ubuntu" {
		return "sh -c 'apt-get update && apt-get install -y linux-image-arm64 systemd-sysv'"
	}
	return command
}
