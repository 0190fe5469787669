package survey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"cloudlets/images/boot"
	"cloudlets/images/manifest"
)

// manifestFile is a manifest with its members in the order in which people read
// them.
type manifestFile struct {
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	Arch        string   `json:"arch,omitempty"`
	Args        *args    `json:"args,omitempty"`
	Templates   []string `json:"templates,omitempty"`
	EntryPoints *entries `json:"entrypoints,omitempty"`
	Persistent  []string `json:"persistent,omitempty"`
	Volatile    []string `json:"volatile,omitempty"`
}

// args are the arguments of the usual templates.
type args struct {
	SSHKeys sshKeysArg `json:"sshKeys"`
}

// sshKeysArg is the schema of a list that may be left out.
type sshKeysArg struct {
	Type        string            `json:"type"`
	Items       map[string]string `json:"items"`
	Default     []string          `json:"default"`
	Description string            `json:"description"`
}

type entries struct {
	Kernel *entry `json:"kernel,omitempty"`
	Init   *entry `json:"init,omitempty"`
	Shell  *entry `json:"shell,omitempty"`
}

type entry struct {
	Type     manifest.EntryType `json:"type"`
	Kernel   string             `json:"kernel,omitempty"`
	Initrd   string             `json:"initrd,omitempty"`
	Cmdline  string             `json:"cmdline,omitempty"`
	Path     string             `json:"path,omitempty"`
	Args     []string           `json:"args,omitempty"`
	Requires *requires          `json:"requires,omitempty"`
	Default  bool               `json:"default"`
}

type requires struct {
	Arch string `json:"arch,omitempty"`
}

// Manifest returns the manifest that suits the findings, as JSON with a final
// newline. It can be parsed, and its entry points lead to existing files.
func (f Findings) Manifest() ([]byte, error) {
	m := manifestFile{
		Name: f.Name, Description: f.description(), Arch: f.Arch, Templates: f.Render,
		Persistent: f.Persistent, Volatile: f.Volatile,
		EntryPoints: &entries{Kernel: f.kernelEntry(), Init: f.initEntry(), Shell: f.shellEntry()},
	}
	if f.takesKeys {
		m.Args = &args{sshKeysArg{"array", map[string]string{"type": "string"}, []string{}, "public SSH keys that may log in, one line of authorized_keys each"}}
	}
	if *m.EntryPoints == (entries{}) {
		m.EntryPoints = nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // "<" is common in patterns, and the text is not for web pages
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	if _, err := manifest.Parse(f.Name, b.Bytes()); err != nil {
		return nil, fmt.Errorf("check the generated manifest: %w", err)
	}
	return b.Bytes(), nil
}

// description returns a line for people, e.g. "Debian GNU/Linux 12 (bookworm)
// with systemd".
func (f Findings) description() string {
	name := f.Distribution.Name
	if name == "" {
		name = strings.TrimSpace(f.Distribution.ID + " " + f.Distribution.Version)
	}
	if name != "" && f.Init.System != NoInitSystem && f.Init.System != OtherSystem {
		name += " with " + string(f.Init.System)
	}
	return name
}

// kernelEntry returns an entry point for the newest kernel, which also matches
// newer kernels that may come.
func (f Findings) kernelEntry() *entry {
	if len(f.Kernels) == 0 {
		return nil
	}
	newest := f.Kernels[0]
	arch := newest.Arch
	if arch == "" {
		arch = f.Arch
	}
	e := &entry{
		Type: manifest.KernelEntry, Kernel: lasting(newest.Path, newest), Initrd: lasting(newest.Initrd, newest),
		Cmdline: f.cmdline(arch), Default: true,
	}
	if arch != "" {
		e.Requires = &requires{Arch: arch}
	}
	return e
}

// lasting is a path, or a pattern, that leads to a kernel or an initrd and will
// lead to the one that replaces it. NixOS has each below a name of its own, and
// links to those of the system that it starts.
func lasting(file string, k boot.Kernel) string {
	if strings.HasPrefix(file, "/nix/store/") {
		if file == k.Path {
			return "/nix/var/nix/profiles/system/kernel"
		}
		return "/nix/var/nix/profiles/system/initrd"
	}
	return anyVersion(file, k)
}

// anyVersion replaces the version in the path of a kernel, or of its initrd, by
// "*".
func anyVersion(file string, k boot.Kernel) string {
	dir, base := path.Split(file)
	for _, version := range []string{k.Named(), k.Version} {
		switch {
		case version == "":
		case strings.Contains(base, version):
			return dir + strings.Replace(base, version, "*", 1)
		case strings.Contains(file, "/"+version+"/"):
			return strings.Replace(file, "/"+version+"/", "/*/", 1)
		}
	}
	return file
}

// serial maps an architecture to the usual serial console of its machines.
var serial = map[string]string{
	"amd64": "ttyS0", "i386": "ttyS0", "arm64": "ttyAMA0", "arm": "ttyAMA0", "riscv64": "ttyS0", "ppc64le": "hvc0", "ppc64": "hvc0", "s390x": "ttysclp0",
}

// cmdline has the options of the kernel's boot loader entry. Unless these name a
// console, it shows the boot messages on the screen and on the serial console. The
// last console is the one for logins in single-user mode.
func (f Findings) cmdline(arch string) string {
	own := f.Kernels[0].Cmdline
	words := []string{own}
	if !strings.Contains(own, "console=") {
		words = append(words, "console=tty0")
		if port, ok := serial[arch]; ok {
			words = append(words, "console="+port)
		}
	}
	if f.Distribution.Family == Alpine {
		words = append(words, "modules=sd-mod,usb-storage,ext4") // its initramfs does not load these by itself
	}
	return boot.JoinWords(words...)
}

func (f Findings) initEntry() *entry {
	if f.Init.Path == "" {
		return nil
	}
	return &entry{Type: manifest.InitEntry, Path: f.Init.Path, Default: true}
}

func (f Findings) shellEntry() *entry {
	switch f.Shell {
	case "":
		return nil
	case "/bin/busybox":
		return &entry{Type: manifest.ChrootEntry, Path: f.Shell, Args: []string{"sh", "-l"}, Default: true}
	}
	return &entry{Type: manifest.ChrootEntry, Path: f.Shell, Args: []string{"-l"}, Default: true}
}
