package media

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki/signing"
)

// secureBootFlags are the flags for disks that start with Secure Boot.
type secureBootFlags struct {
	shim      bool
	key, cert string
}

func (f *secureBootFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.shim, "secure-boot", false, "boot with UEFI Secure Boot, by Debian's signed shim and GRUB")
	cmd.Flags().StringVar(&f.key, "secure-boot-key", "", "sign the boot loader and the kernels with the private key in this PEM `file`")
	cmd.Flags().StringVar(&f.cert, "secure-boot-cert", "", "the key's certificate, a PEM `file`, which must be enrolled in the machines' firmware")
	cmd.MarkFlagsRequiredTogether("secure-boot-key", "secure-boot-cert")
	for _, name := range []string{"secure-boot-key", "secure-boot-cert"} {
		_ = cmd.MarkFlagFilename(name, "pem", "key", "crt")
	}
}

// given says whether the disk is to start with Secure Boot.
func (f *secureBootFlags) given() bool { return f.shim || f.key != "" }

// load reads the key and its certificate, if there is a key.
func (f *secureBootFlags) load() (bootloader.SecureBoot, error) {
	if f.key == "" {
		return bootloader.SecureBoot{Shim: f.shim}, nil
	}
	owner, err := signing.ReadKey(f.key, f.cert, time.Now())
	return bootloader.SecureBoot{Signer: owner}, err
}

// errNotSigned refuses Secure Boot for a format without a boot loader.
func errNotSigned(format string) error {
	return exit.With(errors.New("--secure-boot is for disks: the format "+format+" has no boot loader to sign"), exit.Usage)
}
