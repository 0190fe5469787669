package dhcp

// String names a kind of client as a person would.
func (k Kind) String() string {
	switch k {
	case OwnIPXE:
		return "our iPXE"
	case HTTPBoot:
		return "UEFI HTTP Boot"
	case IPXE:
		return "stock iPXE"
	case PXE:
		return "PXE"
	default:
		return "plain DHCP client"
	}
}

// String names a platform as a person would.
func (f Firmware) String() string {
	switch f {
	case BIOS:
		return "BIOS"
	case EFIIA32:
		return "UEFI ia32"
	case EFIX64:
		return "UEFI x64"
	case EFIARM32:
		return "UEFI arm32"
	case EFIARM64:
		return "UEFI arm64"
	case RaspberryPi:
		return "Raspberry Pi"
	default:
		return "unknown firmware"
	}
}

// UEFI says whether a platform starts boot loaders as UEFI does.
func (f Firmware) UEFI() bool {
	switch f {
	case EFIIA32, EFIX64, EFIARM32, EFIARM64:
		return true
	}
	return false
}
