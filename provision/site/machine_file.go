package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"cloudlets/images/bytesize"
	"cloudlets/images/jsontext"
	"cloudlets/images/manifest"
	"cloudlets/provision"
)

// machineFields are the keys of a machine file and of a profile.
func machineFields() map[string]field[provision.Spec] {
	return map[string]field[provision.Spec]{
		"description": ignored[provision.Spec](),
		"extends":     anything[provision.Spec], // merged in before
		"macs":        listField(addCard),
		"uuid":        textField(setUUID),
		"image":       textField(setImage),
		"entrypoint":  plainText(func(s *provision.Spec) *string { return &s.EntryPoint }),
		"hostname":    textField(setHostname),
		"address":     setAddresses,
		"install":     textField(setInstall),
		"disk":        objectField(func(s *provision.Spec) *provision.DiskHints { return &s.Disk }, diskFields()),
		"wipe":        anything[provision.Spec], // see noticeWipe
		"filesystem":  textField(setFilesystem),
		"handover":    textField(setHandover),
		"cmdline":     plainText(func(s *provision.Spec) *string { return &s.Cmdline }),
		"secureBoot":  setSecureBoot,
		"https":       boolField(func(s *provision.Spec, v bool) { s.HTTPS = &v }),
		"quirks":      objectField(func(s *provision.Spec) *provision.Quirks { return &s.Quirks }, quirkFields()),
		"config":      setConfig,
		"network":     setMachineNetwork,
		"running":     boolField(func(s *provision.Spec, v bool) { s.Silent = !v }),
		"bootEntry":   boolField(func(s *provision.Spec, v bool) { s.BootEntry = v }),
		"confirm":     boolField(func(s *provision.Spec, v bool) { s.Confirm = v }),
		"power":       setPower,
		"cloudInit":   setCloudInit,
		"rescue": func(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
			s.Rescue = &provision.Rescue{}
			return decodeObject(s.Rescue, n, rescueFields())
		},
		"boot":  setBoot,
		"retry": numberField("a number of attempts", setRetry),
	}
}

func diskFields() map[string]field[provision.DiskHints] {
	return map[string]field[provision.DiskHints]{
		"serial":     hintText(func(d *provision.DiskHints) *string { return &d.Serial }),
		"wwn":        hintText(func(d *provision.DiskHints) *string { return &d.WWN }),
		"model":      hintText(func(d *provision.DiskHints) *string { return &d.Model }),
		"transport":  textField(setTransport),
		"byPath":     hintText(func(d *provision.DiskHints) *string { return &d.ByPath }),
		"minSize":    sizeField(func(d *provision.DiskHints) *int64 { return &d.MinSize }),
		"maxSize":    sizeField(func(d *provision.DiskHints) *int64 { return &d.MaxSize }),
		"rotational": boolField(func(d *provision.DiskHints, v bool) { d.Rotational = &v }),
	}
}

// hintText reads a hint, which must not be empty: an empty one would match
// every disk, and comes from a variable that somebody forgot to set.
func hintText(to func(*provision.DiskHints) *string) field[provision.DiskHints] {
	return textField(func(d *provision.DiskHints, text string) error {
		if strings.TrimSpace(text) == "" {
			return errors.New("an empty hint selects nothing: write what the disk has, or leave the hint out")
		}
		*to(d) = text
		return checkPlain(text)
	})
}

func quirkFields() map[string]field[provision.Quirks] {
	return map[string]field[provision.Quirks]{
		"bootFile": textField(setBootFile),
		"oneStep":  boolField(func(q *provision.Quirks, v bool) { q.OneStep = v }),
	}
}

// decodeSpec makes a Spec of the merged files of one machine.
func decodeSpec(mac provision.MAC, merged *jsontext.Node) (provision.Spec, jsontext.Problems) {
	spec := provision.Spec{MAC: mac, Filesystem: "ext4", Retry: provision.DefaultRetry}
	problems := decodeObject(&spec, merged, machineFields())
	if spec.Handover == "" {
		spec.Handover = defaultHandover(spec.SecureBoot)
	}
	slices.Sort(spec.Cards) // their order says nothing
	if low, high := spec.Disk.MinSize, spec.Disk.MaxSize; high != 0 && low > high {
		at := merged.Locate("disk", "minSize")
		problems = append(problems, at.Problem("minSize %s is more than maxSize %s: no disk can match", bytesize.Exact(low), bytesize.Exact(high)))
	}
	if mac != "" && spec.Boot != nil && len(problems) == 0 { // a profile may have a part of it
		if err := provision.CheckBoot(mac, &spec, spec.Boot.Boot); err != nil {
			problems = append(problems, merged.Locate("boot").Problem("%s", err))
		}
	}
	if spec.SecureBoot != "" && spec.Handover == provision.Kexec {
		problems = append(problems, merged.Locate("handover").Problem(`a kernel that Secure Boot started may be locked down, and then kexec is refused: with "secureBoot" the handover is "switch" or "reboot"`))
	}
	if mac != "" && len(problems) == 0 { // a profile may have a part of it
		if err := checkPower(spec.Power); err != nil {
			problems = append(problems, merged.Locate("power").Problem("%s", err))
		}
	}
	if mac != "" && len(problems) == 0 {
		if err := checkCloudInit(spec.CloudInit); err != nil {
			problems = append(problems, merged.Locate("cloudInit").Problem("%s", err))
		}
	}
	return spec, problems
}

// noticeWipe tells those who have "wipe" in a file that it does nothing any more. The
// file counts all the same: without it the machine would lose its address, too, and what
// it does without "wipe" is the safe thing.
func noticeWipe(merged *jsontext.Node) jsontext.Problems {
	member, has := merged.Member("wipe")
	if !has {
		return nil
	}
	if yes, is := member.Value.Bool(); is && !yes {
		return nil
	}
	return jsontext.Problems{member.Place().Problem(`"wipe" does nothing any more, since what is on a disk is lost once, and because a person said so: remove the key, and arm such an install with "cloudlets install NAME --wipe"`)}
}

// defaultHandover returns what the agent does if the file does not say it. A program
// that the owner signed is the same for all machines. It cannot have the machine's
// own words for the kernel, so only the disk can start with them.
func defaultHandover(s provision.SecureBoot) provision.Handover {
	if s == provision.ByOwner {
		return provision.Reboot
	}
	return provision.Switch
}

// setSecureBoot reads who signed what the firmware starts: false, true, which means
// shim, or a name.
func setSecureBoot(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	if text, ok := n.Text(); ok {
		s.SecureBoot = provision.SecureBoot(text)
		return refused(n, oneOf(text, string(provision.ByShim), string(provision.ByOwner)))
	}
	yes, ok := n.Bool()
	if !ok {
		return wants(n, `true, false, "shim" or "owner"`)
	}
	s.SecureBoot = ""
	if yes {
		s.SecureBoot = provision.ByShim
	}
	return nil
}

// maxCards bounds the further network cards of one machine.
const maxCards = 64

// addCard adds a network card to a machine. A person may list all that the machine
// has, so the one that names the file is no mistake.
func addCard(s *provision.Spec, text string) error {
	mac, err := provision.ParseMAC(text)
	switch {
	case err != nil:
		return err
	case mac == s.MAC || slices.Contains(s.Cards, mac):
		return nil
	case len(s.Cards) == maxCards:
		return fmt.Errorf("a machine can have at most %d further network cards", maxCards)
	}
	s.Cards = append(s.Cards, mac)
	return nil
}

func setUUID(s *provision.Spec, text string) (err error) {
	if text == "" {
		s.UUID = ""
		return nil
	}
	s.UUID, err = provision.ParseUUID(text)
	return err
}

func setImage(s *provision.Spec, name string) error {
	base, revision, versioned := strings.Cut(name, "@")
	switch {
	case name != "" && (path.Base(base) != base || strings.HasPrefix(base, ".") || hasControl(name)):
		return fmt.Errorf("%q is not an image name; want the name of a directory or tarball in images/, without its ending", name)
	case versioned && (revision == "" || strings.HasPrefix(revision, "-")):
		return fmt.Errorf("%q names no revision; want one after the @, such as %s@v1.2", name, base)
	}
	s.Image = name
	return nil
}

func setHostname(s *provision.Spec, name string) error {
	if err := checkHostname(name); err != nil {
		return err
	}
	s.Hostname = name
	return nil
}

// checkHostname holds a name to RFC 1123 section 2.1.
func checkHostname(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > 253 {
		return fmt.Errorf("hostname %.20q… is longer than 253 bytes", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isHostLabel(label) {
			return fmt.Errorf("%q is not a hostname; want letters, digits and hyphens, in parts of 1 to 63 joined by dots", name)
		}
	}
	return nil
}

func isHostLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.IndexFunc(label, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// setAddresses reads an address, or a list with one for each network.
func setAddresses(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Address, s.MoreAddresses = netip.Addr{}, nil
	if n.IsArray() {
		return listField(addAddress)(s, n)
	}
	if text, ok := n.Text(); ok && text == "" {
		return nil
	}
	return textField(addAddress)(s, n)
}

func addAddress(s *provision.Spec, text string) error {
	addr, err := parseAddr(text)
	switch {
	case err != nil:
		return err
	case addr == s.Address || slices.Contains(s.MoreAddresses, addr):
		return fmt.Errorf("%s is in the list already", addr)
	case !s.Address.IsValid():
		s.Address = addr
	default:
		s.MoreAddresses = append(s.MoreAddresses, addr)
	}
	return nil
}

// parseAddr reads an address of IPv4 or IPv6 that a host on a network can have.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil || !addr.Is6():
		return parseIPv4(text)
	case addr.Is4In6() || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr.IsLinkLocalUnicast():
		return netip.Addr{}, fmt.Errorf("%s is not an address that DHCPv6 gives to a host; want one such as fd77::21", addr)
	}
	return addr, nil
}

// parseIPv4 reads an address that a host can have.
func parseIPv4(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil || !addr.Is4():
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address; want one such as 10.0.0.21, without a prefix length", text)
	case addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return netip.Addr{}, fmt.Errorf("%s is an address that no host on a network can have", addr)
	}
	return addr, nil
}

func setInstall(s *provision.Spec, when string) error {
	s.InstallOnce = when == "once"
	return oneOf(when, "once", "never", "")
}

func setRetry(s *provision.Spec, number json.Number) error {
	n, err := strconv.Atoi(number.String())
	if err != nil || n < 0 || n > provision.MaxRetry {
		return fmt.Errorf("want how often an install that failed is tried again, 0 to %d", provision.MaxRetry)
	}
	s.Retry = n
	return nil
}

func setFilesystem(s *provision.Spec, name string) error {
	s.Filesystem = name
	return oneOf(name, "ext4", "xfs", "btrfs")
}

func setHandover(s *provision.Spec, name string) error {
	s.Handover = provision.Handover(name)
	return oneOf(name, string(provision.Switch), string(provision.Reboot), string(provision.Kexec), string(provision.PowerOff))
}

func setTransport(d *provision.DiskHints, name string) error {
	d.Transport = name
	return oneOf(name, "nvme", "sata", "sas", "usb", "virtio", "mmc", "")
}

func setBootFile(q *provision.Quirks, name string) error {
	if name != "" && (path.Base(name) != name || hasControl(name)) {
		return fmt.Errorf("%q is not a boot loader's file name; want one such as \"ipxe.efi\", without a folder", name)
	}
	q.BootFile = name
	return nil
}

// setConfig hands the configuration to the format's own reader. What the args
// may be is said by the image's manifest, and is checked against it later.
func setConfig(s *provision.Spec, n *jsontext.Node) (problems jsontext.Problems) {
	keys := map[string]field[provision.Spec]{"args": anything[provision.Spec], "dns": anything[provision.Spec], "ip": anything[provision.Spec]}
	if problems := decodeObject(s, n, keys); problems != nil {
		return problems
	}
	s.Config, problems = manifest.ReadConfig(n)
	return problems
}
