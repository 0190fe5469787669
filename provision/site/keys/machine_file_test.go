package keys_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/provision"
)

func TestAMachineFileWithEverything(t *testing.T) {
	got := goodMachine(t, `
// the machine under the desk
{
	"description": "build server",
	"image": "debian",
	"entrypoint": "kernel-serial",
	"hostname": "build-1.example.org",
	"address": "10.0.0.21",
	"install": "once",
	"disk": {
		"serial": "S4EW", "wwn": "0x5000c500", "model": "970 PRO", "transport": "nvme",
		"byPath": "pci-0000:01:00.0-nvme-1", "minSize": "16GiB", "maxSize": 2000000000000,
		"rotational": false, /* never the spinning ones */
	},
	"bootEntry": true,
	"confirm": true,
	"filesystem": "xfs",
	"handover": "kexec",
	"cmdline": "console=ttyS0",
	"quirks": {"bootFile": "ipxe.efi", "oneStep": true},
	"config": {"args": {"port": 8080, "big": 9007199254740993}, "dns": {"nameservers": ["10.0.0.1"]}, "ip": {"interfaces": []}},
}`)
	no := false
	want := provision.Spec{
		MAC: mac1, Image: "debian", EntryPoint: "kernel-serial", Hostname: "build-1.example.org",
		InstallOnce: true, BootEntry: true, Confirm: true, Retry: provision.DefaultRetry, Filesystem: "xfs", Handover: provision.Kexec, Cmdline: "console=ttyS0",
		Disk: provision.DiskHints{Serial: "S4EW", WWN: "0x5000c500", Model: "970 PRO", Transport: "nvme",
			ByPath: "pci-0000:01:00.0-nvme-1", MinSize: 16 << 30, MaxSize: 2e12, Rotational: &no},
		Quirks: provision.Quirks{BootFile: "ipxe.efi", OneStep: true},
	}
	if got.Address.String() != "10.0.0.21" {
		t.Errorf("address %s", got.Address)
	}
	config, err := json.Marshal(got.Config)
	if want := `{"args":{"big":9007199254740993,"port":8080},"dns":{"nameservers":["10.0.0.1"]},"ip":{"interfaces":[]}}`; string(config) != want || err != nil {
		t.Errorf("config %s, %v; want %s", config, err, want)
	}
	got.Address, got.Config = want.Address, want.Config
	if d := cmp.Diff(fmt.Sprintf("%+v", want.Disk.Rotational != nil), fmt.Sprintf("%+v", got.Disk.Rotational != nil)); d != "" {
		t.Error(d)
	}
	want.Disk.Rotational, got.Disk.Rotational = nil, nil
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDefaults(t *testing.T) {
	got := goodMachine(t, "{}")
	if got.Filesystem != "ext4" || got.Handover != provision.Switch || got.InstallOnce || got.BootEntry || got.Image != "" || got.Address.IsValid() {
		t.Errorf("got %+v", got)
	}
}

func TestMistakesInMachineFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":             {"{\n  \"imgae\": \"debian\"\n}", `:2:3: unknown key "imgae"; did you mean "image"?`},
		"unknown key, no idea":    {`{"colour": "red"}`, `:1:2: unknown key "colour"`},
		"key in other case":       {`{"HostName": "x"}`, `did you mean "hostname"?`},
		"unknown inner key":       {"{\"disk\": {\n\"seriel\": \"x\"}}", `:2:1: unknown key "seriel"; did you mean "serial"?`},
		"unknown config key":      {`{"config": {"agrs": {}}}`, `:1:13: unknown key "agrs"; did you mean "args"?`},
		"number for text":         {`{"image": 5}`, ":1:11: want a text in quotes, have 5"},
		"text for bool":           {`{"bootEntry": "yes"}`, `:1:15: want true or false, have "yes"`},
		"bad address":             {`{"address": "10.0.0.1/24"}`, "without a prefix length"},
		"link-local":              {`{"address": "fe80::1"}`, "fe80::1 is not an address that DHCPv6 gives to a host"},
		"multicast":               {`{"address": "224.0.0.1"}`, "no host on a network"},
		"no revision":             {`{"image": "debian@"}`, `"debian@" names no revision; want one after the @, such as debian@v1.2`},
		"a flag as a revision":    {`{"image": "debian@--all"}`, "names no revision"},
		"bad hostname":            {`{"hostname": "my_host"}`, `"my_host" is not a hostname`},
		"bad install":             {`{"install": "always"}`, `want "once" or "never", have "always"`},
		"bad filesystem":          {`{"filesystem": "ext5"}`, `want "ext4", "xfs" or "btrfs", have "ext5"; did you mean "ext4"?`},
		"kexec of Secure Boot":    {`{"secureBoot": true, "handover": "kexec"}`, `the handover is "switch" or "reboot"`},
		"kexec of the owner's":    {`{"secureBoot": "owner", "handover": "kexec"}`, `the handover is "switch" or "reboot"`},
		"no such Secure Boot":     {`{"secureBoot": "own"}`, `want "shim" or "owner", have "own"`},
		"number of Secure Boot":   {`{"secureBoot": 1}`, `want true, false, "shim" or "owner", have 1`},
		"bad handover":            {`{"handover": "rebot"}`, `did you mean "reboot"?`},
		"bad transport":           {`{"disk": {"transport": "scsi"}}`, `want "nvme", "sata"`},
		"empty hint":              {`{"disk": {"serial": ""}}`, `an empty hint selects nothing`},
		"size without clear unit": {`{"disk": {"minSize": "8G"}}`, "write GB for 1000³ bytes or GiB for 1024³"},
		"fraction of a byte":      {`{"disk": {"minSize": 1.5}}`, "want a whole number of bytes"},
		"bounds the wrong way":    {`{"disk": {"minSize": "2GB", "maxSize": "1GB"}}`, ":1:22: minSize 2 GB is more than maxSize 1 GB"},
		"image with a path":       {`{"image": "../etc"}`, `"../etc" is not an image name`},
		"line break in cmdline":   {`{"cmdline": "a\nb"}`, "line breaks are not allowed"},
		"boot file with a path":   {`{"quirks": {"bootFile": "../x"}}`, "without a folder"},
		"args that are a list":    {"{\"config\": {\n\"args\": []}}", ":2:9: /config/args: is an array where an object is needed"},
		"dns server list":         {`{"config": {"dns": {"nameservers": "x"}}}`, ":1:36: /config/dns/nameservers: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := machine(c.text)
			if got := lines(problems); !strings.HasPrefix(got, machineFile+":") || !strings.Contains(got, c.want) {
				t.Errorf("got  %swant %s%s", got, machineFile, c.want)
			}
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, problems := machine(`{"imgae": "x", "bootEntry": 1, "disk": {"minSize": "x"}}`)
	if n := len(problems); n != 3 {
		t.Errorf("%d problems:\n%s", n, lines(problems))
	}
}

func TestCardsThatAreNone(t *testing.T) {
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf("%q", fmt.Sprintf("52:54:00:00:02:%02x", i))
	}
	for text, want := range map[string]string{
		`{"macs": ["eth1"]}`:                           `:1:11: parse "eth1" as a MAC address`,
		`{"macs": "52:54:00:00:01:01"}`:                ":1:10: want a list",
		`{"macs": ["01:00:5e:00:00:01"]}`:              "group address",
		`{"macs": [` + strings.Join(many, ", ") + `]}`: "at most 64 further network cards",
	} {
		_, problems := machine(text)
		if got := lines(problems); !strings.Contains(got, machineFile) || !strings.Contains(got, want) {
			t.Errorf("%.40s: got\n%swant %s", text, got, want)
		}
	}
}

func TestMistakesInVarsAndTags(t *testing.T) {
	for text, want := range map[string]string{
		`{"vars": []}`:        ":1:10: want an object {…} of values",
		`{"tags": "web"}`:     ":1:10: want a list […] of texts",
		`{"tags": ["a", ""]}`: `:1:16: "" is not a tag`,
		`{"tags": ["a b"]}`:   `:1:11: "a b" is not a tag`,
	} {
		_, problems := machine(text)
		if got := lines(problems); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
