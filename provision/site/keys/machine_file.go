package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cloudlets/images/bytesize"
	"cloudlets/images/jsontext"
	"cloudlets/images/manifest"
	"cloudlets/provision"
)

// machineFields are the keys of a machine file and of a profile.
var machineFields = sync.OnceValue(func() fields[provision.Spec] {
	return fields[provision.Spec]{
		"description": description[provision.Spec](),
		"extends": valueField("text, or list of texts", anything[provision.Spec]). // merged in before
												says("The profiles whose keys count too: one name, or several, of which a later one replaces what an earlier one says.", `[]`, `"web"`),
		"rules": valueField("list of objects", anything[provision.Spec]). // see [ReadRules]
											with(profileRuleFields().inList()).
											says("In profiles alone: what counts for those machines only in which was found what \"when\" says. All rules that match apply, in order, a later one over an earlier one; what extends the profile goes over them.", `[]`, `[{"when": {"product": "PowerEdge R640", "disks": 2}, "set": {"disk": {"model": "DELLBOSS VD"}}}]`),
		"macs":       listField(addCard).says("The MAC addresses of the machine's further network cards; the file's name is the first one.", `[]`, `["52:54:00:12:34:57"]`),
		"uuid":       textField(setUUID).says("The machine's UUID, by which a network card that is in no file is known as the machine's.", `""`, `"4c4c4544-0042-3510-8052-b4c04f564433"`),
		"image":      textField(setImage).says("The image that is installed, a name in images/; with @ and a revision for a repository.", `""`, `"debian-12@v1.2"`),
		"entrypoint": plainText(func(s *provision.Spec) *string { return &s.EntryPoint }).says("The entry point of the image that is started.", "the image's own default", `"linux"`),
		"hostname":   textField(setHostname).says("The machine's name.", `""`, `"node1"`),
		"address":    valueField("text, or list of texts", setAddresses).says("The address that DHCP reserves for the machine; a list has one for each network.", `[]`, `"10.0.0.11"`),
		"install": choiceField(func(s *provision.Spec, when string) { s.InstallOnce = when == "once" }, "once", "never", "").
			says("Whether the machine's first install is armed without the verb install.", `"never"`, `"once"`),
		"disk": objectField(func(s *provision.Spec) *provision.DiskHints { return &s.Disk }, diskFields()).
			says("Which disk is written: the one that matches every hint.", "the machine's only disk that is not removable", `{"model": "SAMSUNG MZ7LH960", "maxSize": "1TB"}`),
		"wipe": valueField("nothing", anything[provision.Spec]). // see Notices
										says("Does nothing any more: `cloudlets install NAME --wipe` lets one install overwrite a disk that is not empty.", "", `false`),
		"filesystem": choiceField(func(s *provision.Spec, name string) { s.Filesystem = name }, "ext4", "xfs", "btrfs").
			says("The filesystem of the root.", `"ext4"`, `"xfs"`),
		"slots":  numberField("1 or 2", setSlots).says("How many systems the disk has room for. With 2, an install is an update beside the system that runs, which stays until the new one says that it runs.", `1`, `2`),
		"mirror": boolField(func(s *provision.Spec, v bool) { s.Mirror = v }).says("Whether the system is on two disks, each of which has all of it: the two that match \"disk\". It takes \"slots\": 2.", `false`, `true`),
		"persistent": sizeField(func(s *provision.Spec) *int64 { return &s.Persistent }).
			says("The size of the partition for the image's persistent paths. Every install keeps the one that is there, unless a person says --wipe.", "none", `"100GB"`),
		"handover": choiceField(func(s *provision.Spec, name string) { s.Handover = provision.Handover(name) }, string(provision.Switch), string(provision.Reboot), string(provision.Kexec), string(provision.PowerOff)).
			says("What the installer does when the disk is complete: make it the root of the running kernel, or start anew.", `switch; with "secureBoot": "owner" reboot`, `"reboot"`),
		"cmdline":    plainText(func(s *provision.Spec) *string { return &s.Cmdline }).says("Words that are added to the kernel's command line.", `""`, `"console=ttyS1,115200"`),
		"secureBoot": valueField(`true, false, "shim" or "owner"`, setSecureBoot).says("Who signed what the machine's firmware starts: Microsoft, by way of shim (true is the same), or you.", `false`, `"shim"`),
		"https":      boolField(func(s *provision.Spec, v bool) { s.HTTPS = &v }).says("Whether the machine boots by HTTPS, where the server has it; true needs firmware that trusts the server.", "the agent does, the firmware as cloudlets.json says", `true`),
		"quirks":     objectField(func(s *provision.Spec) *provision.Quirks { return &s.Quirks }, quirkFields()).says("What the machine's firmware needs otherwise than usual.", `{}`, `{"oneStep": true}`),
		"config":     valueField("object", setConfig).with(configFields().keys(provision.Spec{})).says("The configuration of the machine's copy of the image.", `{}`, `{"args": {"role": "a web server"}, "dns": {"nameservers": ["10.0.0.53"]}}`),
		"network": valueField("object", setMachineNetwork).with(machineNetworkFields().keys(provision.Network{})).
			says("The network of the installed system.", "as the image has it", `{"interfaces": [{"mac": "52:54:00:12:34:56", "dhcp": true}]}`),
		"running":   boolField(func(s *provision.Spec, v bool) { s.Silent = !v }).says("Whether the installed system tells the server that it runs.", `true`, `false`),
		"bootEntry": boolField(func(s *provision.Spec, v bool) { s.BootEntry = v }).says("Whether an install puts the disk into the boot order of UEFI firmware.", `false`, `true`),
		"confirm":   boolField(func(s *provision.Spec, v bool) { s.Confirm = v }).says("Whether each install tells what it will do, and waits for `cloudlets confirm` before its first write.", `false`, `true`),
		"power":     valueField("object", setPower).with(powerFields().keys(provision.Power{})).says("How the machine is switched on and off from afar.", "not at all", `{"redfish": "https://10.9.0.14", "user": "admin", "passwordFile": "secrets/node14"}`),
		"cloudInit": valueField("object", setCloudInit).with(cloudInitFields().keys(provision.CloudInit{})).says("What the machine's cloud-init is told.", "nothing", `{"userData": {"packages": ["nginx"]}}`),
		"boot": valueField(`"local", "live", or object`, setBoot).with(bootFields().keys(provision.FileBoot{})).
			says("What the machine boots while no install is due: its own disk, the system of its image in memory (\"live\"), or the kernel of an image as it is.", "its own disk", `{"kernel": "memtest"}`),
		"rescue": valueField("object", setRescue).with(rescueFields().keys(provision.Rescue{})).
			says("Who may log in to the machine's rescue system by SSH, besides those of cloudlets.json.", "nobody else", `{"sshKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"]}`),
		"vars":  valueField("object", setVars).says("Values of your own for templates, which see them as `env.vars`; those of profiles are merged by their names.", `{}`, `{"rack": 3, "ntp": ["10.0.0.54"]}`),
		"tags":  listField(addTag).says("Words by which machines are found, and that templates see as `env.tags`; those of profiles are added.", `[]`, `["rack3", "database"]`),
		"retry": numberField("a number of attempts", setRetry).says("How often an install that failed is tried again by itself.", strconv.Itoa(provision.DefaultRetry), `5`),
	}
})

func setSlots(s *provision.Spec, number json.Number) error {
	if text := number.String(); text != "1" && text != "2" {
		return fmt.Errorf("a disk has room for 1 system or for 2, not %s", text)
	}
	if s.Slots = int(number[0] - '0'); s.Slots == 1 {
		s.Slots = 0 // as without it
	}
	return nil
}

// checkKept says what does not go together with what installs keep.
func checkKept(spec *provision.Spec, merged *jsontext.Node) (problems jsontext.Problems) {
	if spec.Slots == 2 && spec.Filesystem != "ext4" {
		problems = append(problems, merged.Locate("slots").Problem("with two slots the boot loader reads the kernels from the root filesystem, and that has to be ext4: take \"filesystem\": %q out", spec.Filesystem))
	}
	if spec.Slots == 2 && spec.Silent {
		problems = append(problems, merged.Locate("running").Problem("with two slots an update is undone unless the system says that it runs: take \"running\": false out"))
	}
	if spec.Mirror && spec.Slots != 2 {
		problems = append(problems, merged.Locate("mirror").Problem("a system on two disks has two slots on each: add \"slots\": 2, or take \"mirror\" out"))
	}
	for name, set := range map[string]bool{"slots": spec.Slots == 2, "persistent": spec.Persistent > 0} {
		if set && spec.SecureBoot == provision.ByOwner {
			problems = append(problems, merged.Locate(name).Problem("a disk that you sign has one system, and keeps nothing: take %q out, or use \"secureBoot\": \"shim\"", name))
		}
	}
	return problems
}

func diskFields() fields[provision.DiskHints] {
	return fields[provision.DiskHints]{
		"serial":    hintText(func(d *provision.DiskHints) *string { return &d.Serial }).says("The disk's serial number.", "any", `"S4EWNX0R123456"`),
		"wwn":       hintText(func(d *provision.DiskHints) *string { return &d.WWN }).says("The disk's World Wide Name.", "any", `"0x5002538e40b6c1d5"`),
		"model":     hintText(func(d *provision.DiskHints) *string { return &d.Model }).says("The disk's model.", "any", `"SAMSUNG MZ7LH960"`),
		"transport": choiceField(func(d *provision.DiskHints, name string) { d.Transport = name }, "nvme", "sata", "sas", "usb", "virtio", "mmc", "").says("What connects the disk.", "any", `"nvme"`),
		"byPath":    hintText(func(d *provision.DiskHints) *string { return &d.ByPath }).says("The disk's name in /dev/disk/by-path, which is that of the slot.", "any", `"pci-0000:00:04.0"`),
		"minSize":   sizeField(func(d *provision.DiskHints) *int64 { return &d.MinSize }).says("The size that the disk has at least.", "no bound", `"200GB"`),
		"maxSize":   sizeField(func(d *provision.DiskHints) *int64 { return &d.MaxSize }).says("The size that the disk has at most.", "no bound", `"1TB"`),
		"rotational": boolField(func(d *provision.DiskHints, v bool) { d.Rotational = &v }).
			says("Whether it is a spinning disk.", "either", `false`),
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

func quirkFields() fields[provision.Quirks] {
	return fields[provision.Quirks]{
		"bootFile":      textField(setBootFile).says("The boot loader's file, in place of the one that the firmware's kind takes.", `""`, `"ipxe.efi"`),
		"firmwareOrder": boolField(func(q *provision.Quirks, v bool) { q.FirmwareOrder = v }).says("Whether a UEFI machine that is sent to its own disk goes on in its firmware's boot order, and not to the disk that was installed.", `false`, `true`),
		"oneStep":       boolField(func(q *provision.Quirks, v bool) { q.OneStep = v }).says("Whether UEFI PXE is answered in the DHCP offer itself.", `false`, `true`),
	}
}

// DecodeSpec makes a Spec of merged, which is the file of one machine over the profiles that
// it extends. With "" as the MAC, merged is a profile alone: it may have a part of what only
// goes together with the rest. After a problem, the Spec is not to be used.
func DecodeSpec(mac provision.MAC, merged *jsontext.Node) (provision.Spec, jsontext.Problems) {
	spec := newSpec(mac)
	problems := decodeObject(&spec, merged, machineFields())
	if spec.Handover == "" {
		spec.Handover = defaultHandover(spec.SecureBoot)
	}
	problems = append(problems, checkKept(&spec, merged)...)
	slices.Sort(spec.Cards) // their order says nothing
	slices.Sort(spec.Tags)
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

// Notices are the problems of keys that do nothing any more, in merged as [DecodeSpec] reads
// it. There is one such key, "wipe". The file counts all the same: without it the machine would lose its address, too, and what
// it does without "wipe" is the safe thing.
func Notices(merged *jsontext.Node) jsontext.Problems {
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
		return Wants(n, `true, false, "shim" or "owner"`)
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

func setVars(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	if !n.IsObject() {
		return jsontext.Problems{n.Problem("want an object {…} of values")} // without what is there, which may be secret
	}
	s.Vars = nil
	if vars, _ := n.Plain().(map[string]any); len(vars) > 0 {
		s.Vars = vars
	}
	return nil
}

// maxTags bounds the tags of a machine.
const maxTags = 64

// tag is what a word is that a command line and a page can take as it is.
var tag = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:=-]{0,62}$`) })

// addTag adds a tag, once: files and profiles may say the same.
func addTag(s *provision.Spec, text string) error {
	switch {
	case !tag().MatchString(text):
		return fmt.Errorf("%s is not a tag; want letters, digits and any of . _ : = -, at most 63", jsontext.Quoted(text))
	case slices.Contains(s.Tags, text):
		return nil
	case len(s.Tags) == maxTags:
		return fmt.Errorf("a machine can have at most %d tags", maxTags)
	}
	s.Tags = append(s.Tags, text)
	return nil
}

func setRetry(s *provision.Spec, number json.Number) error {
	n, err := strconv.Atoi(number.String())
	if err != nil || n < 0 || n > provision.MaxRetry {
		return fmt.Errorf("want how often an install that failed is tried again, 0 to %d", provision.MaxRetry)
	}
	s.Retry = n
	return nil
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
	if problems := decodeObject(s, n, configFields()); problems != nil {
		return problems
	}
	s.Config, problems = manifest.ReadConfig(n)
	return problems
}

// configFields are the keys of a configuration. The format's own reader reads their
// values.
var configFields = sync.OnceValue(func() fields[provision.Spec] {
	return fields[provision.Spec]{
		"args": valueField("object", anything[provision.Spec]).says("The image's own arguments, as its manifest describes them.", `{}`, `{"role": "a web server"}`),
		"dns":  valueField("object", anything[provision.Spec]).says("How the copy resolves names: a list \"nameservers\", and what else the image's templates understand.", `{}`, `{"nameservers": ["10.0.0.53"]}`),
		"ip":   valueField("object", anything[provision.Spec]).says("How the copy is on the network: a list \"interfaces\", and what else the image's templates understand.", `{}`, `{"interfaces": [{"name": "eth0"}]}`),
	}
})
