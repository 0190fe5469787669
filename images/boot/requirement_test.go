package boot

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images/imagetest"
	"cloudlets/images/manifest"
)

func TestVersionFits(t *testing.T) {
	for _, tt := range []struct {
		constraint, release string
		want                bool
	}{
		{">=2.6.32", "2.6.32", true}, {">=2.6.32", "2.6.32-5-amd64", true}, {">=2.6.32", "2.6.31.14", false}, {">=2.6.32", "6.1.0-31-amd64", true}, {">=2.6.9", "2.6.32", true},
		{"<7", "6.99.0", true}, {"<7", "7.0.0", false}, {"<=6.1", "6.1.0-31-amd64", true}, {"<=6.1", "6.1.5", false}, {"=6.1", "6.1.0-31-amd64", true}, {"=6.1", "6.10.0", false},
		{">6.1", "6.1.0-31-amd64", false}, {">6.1", "6.1.1", true}, {"=6.1.0-31-amd64", "6.1.0-31-amd64", true}, {"=6.1.0-31-amd64", "6.1.0-30-amd64", false},
		{">=6.1.0-9", "6.1.0-31-amd64", true}, {">=2.6.32, <7", "6.1.0", true}, {">=2.6.32,<6", "6.1.0", false}, {" >= 5.4 , < 5.5 ", "5.4.17-generic", true},
		{">=6.1", "6.1.0-rc8", false}, {"<6.1", "6.1.0-rc8", true}, {">=6.1", "6.1.0-rc8-amd64", false}, {"=6", "6.0.0", true}, {">=4.4", "4.4.0-19041-Microsoft", true},
	} {
		if got := versionFits(tt.constraint, tt.release); got != tt.want {
			t.Errorf("%q fits %q: %v, want %v", tt.release, tt.constraint, got, tt.want)
		}
	}
}

func FuzzVersionFits(f *testing.F) {
	f.Add(">=2.6.32, <7", "6.1.0-rc8-amd64")
	f.Add("=1.0.", ".")
	f.Fuzz(func(t *testing.T, constraint, release string) {
		if versionFits(">="+constraint, release) && versionFits("<"+constraint, release) && !strings.Contains(constraint, ",") && !strings.ContainsAny(constraint, "<>= ") {
			t.Errorf("%q is at least and below %q", release, constraint)
		}
	})
}

func TestRequirements(t *testing.T) {
	emulates := func(arch string) bool { return arch == "arm64" }
	for _, tt := range []struct {
		name  string
		entry manifest.EntryPoint
		host  Host
		want  []Unmet
	}{
		{"none", manifest.EntryPoint{Type: manifest.ChrootEntry}, Host{Arch: "x86_64", Kernel: "6.1.0"}, nil},
		{"all met", manifest.EntryPoint{Type: manifest.ChrootEntry, Requires: manifest.Requirements{Arch: "amd64", Kernel: ">=3", Commands: []string{"ls", "mount", "/bin/sh", "/opt/tool"}}}, Host{Arch: "x86_64", Kernel: "6.1.0"}, nil},
		{"nothing is known of the host", manifest.EntryPoint{Requires: manifest.Requirements{Arch: "arm64", Kernel: "<2"}}, Host{}, nil},
		{"another architecture", manifest.EntryPoint{Type: manifest.ChrootEntry, Requires: manifest.Requirements{Arch: "aarch64"}}, Host{Arch: "x86_64"}, []Unmet{{"e", "arch", "arm64", "amd64"}}},
		{"emulated", manifest.EntryPoint{Type: manifest.ChrootEntry, Requires: manifest.Requirements{Arch: "aarch64"}}, Host{Arch: "x86_64", Emulates: emulates}, nil},
		{"not emulated", manifest.EntryPoint{Type: manifest.ChrootEntry, Requires: manifest.Requirements{Arch: "s390x"}}, Host{Arch: "x86_64", Emulates: emulates}, []Unmet{{"e", "arch", "s390x", "amd64"}}},
		{"no kernel is emulated", manifest.EntryPoint{Type: manifest.InitEntry, Requires: manifest.Requirements{Arch: "arm64"}}, Host{Arch: "amd64", Emulates: emulates}, []Unmet{{"e", "arch", "arm64", "amd64"}}},
		{"32 bits on 64", manifest.EntryPoint{Type: manifest.InitEntry, Requires: manifest.Requirements{Arch: "i686"}}, Host{Arch: "amd64"}, nil},
		{"64 bits on 32", manifest.EntryPoint{Type: manifest.InitEntry, Requires: manifest.Requirements{Arch: "amd64"}}, Host{Arch: "i686"}, []Unmet{{"e", "arch", "amd64", "i386"}}},
		{"old kernel", manifest.EntryPoint{Type: manifest.InitEntry, Requires: manifest.Requirements{Kernel: ">=5.10, <7"}}, Host{Kernel: "4.19.0"}, []Unmet{{"e", "kernel", ">=5.10, <7", "4.19.0"}}},
		{"commands", manifest.EntryPoint{Type: manifest.ChrootEntry, Requires: manifest.Requirements{Commands: []string{"nothing", "notes", "away", "/usr/bin/notes", "/usr/lib", "/x"}}}, Host{}, []Unmet{
			{"e", "commands", "nothing", "no program of this name in " + DefaultPath}, {"e", "commands", "notes", "no program of this name in " + DefaultPath},
			{"e", "commands", "away", "no program of this name in " + DefaultPath}, {"e", "commands", "/usr/bin/notes", "/usr/bin/notes may not be executed: its mode is 0644"},
			{"e", "commands", "/usr/lib", "/usr/lib is not a regular file"}, {"e", "commands", "/x", "resolve /x: entry /x: file does not exist"},
		}},
		{"a PATH of its own", manifest.EntryPoint{Type: manifest.ChrootEntry, Env: map[string]string{"PATH": "/opt"}, Requires: manifest.Requirements{Commands: []string{"tool", "ls"}}}, Host{}, []Unmet{{"e", "commands", "ls", "no program of this name in /opt"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.entry.Name = "e"
			err := Check(tt.entry, imagetest.Programs(), tt.host)
			var got []Unmet
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				for _, err := range joined.Unwrap() {
					var u *Unmet
					if !errors.As(err, &u) {
						t.Fatalf("%T: %v", err, err)
					}
					got = append(got, *u)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	err := Check(manifest.EntryPoint{Name: "shell", Requires: manifest.Requirements{Arch: "arm64"}}, imagetest.Programs(), Host{Arch: "amd64"})
	if want := `entry point shell: requirement "arch": wanted arm64, found amd64`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestEntryPointsThatAreSeen(t *testing.T) {
	tree := imagetest.Programs()
	for name, f := range imagetest.NewTree("/boot/vmlinuz-6.1.0-9-amd64 = "+bzImage(0x20f, 3), "/boot/vmlinuz-6.1.0-31-amd64 = "+bzImage(0x20f, 3), "/boot/initrd.img-6.1.0-31-amd64 = x") {
		if _, taken := tree[name]; !taken {
			tree[name] = f
		}
	}
	m := imagetest.Manifest(t, `{"arch": "amd64"}`)
	got, err := EntryPoints(m, tree)
	want := []manifest.EntryPoint{
		{Name: "kernel", Type: manifest.KernelEntry, Kernel: "/boot/vmlinuz-6.1.0-31-amd64", Initrd: "/boot/initrd.img-6.1.0-31-amd64", Default: true},
		{Name: "init", Type: manifest.InitEntry, Path: "/sbin/init", Default: true}, {Name: "shell", Type: manifest.ChrootEntry, Path: "/bin/bash", Default: true},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, name := range []string{"", "kernel"} {
		if k, err := NewestKernel(m, tree, name); err != nil || k.Path != "/boot/vmlinuz-6.1.0-31-amd64" {
			t.Errorf("kernel %q: %+v, %v", name, k, err)
		}
	}
	for _, name := range []string{"", "init"} {
		if e, err := Init(m, tree, name); err != nil || e.Path != "/sbin/init" || e.Requires.Arch != "amd64" {
			t.Errorf("init %q: %+v, %v", name, e, err)
		}
	}
	if e, err := Chroot(m, tree, ""); err != nil || e.Path != "/bin/bash" {
		t.Errorf("shell %+v, %v", e, err)
	}
	if _, err := Chroot(m, tree, "bash"); err == nil || !strings.Contains(err.Error(), `no entry point "bash" of type chroot: name one of shell`) {
		t.Errorf("error %v", err)
	}
}

func TestEntryPointsOfAnotherTypeAreStillSeen(t *testing.T) {
	m := imagetest.Manifest(t, `{"entrypoints": {"tool": {"type": "chroot", "path": "/opt/tool", "args": ["-x"], "env": {"A": "1"}, "requires": {"arch": "arm64", "run": ["true"]}}}}`)
	got, err := EntryPoints(m, imagetest.Programs())
	want := []manifest.EntryPoint{
		{Name: "init", Type: manifest.InitEntry, Path: "/sbin/init", Default: true},
		{Name: "tool", Type: manifest.ChrootEntry, Path: "/opt/tool", Args: []string{"-x"}, Env: map[string]string{"A": "1"}, Requires: manifest.Requirements{Arch: "arm64", Run: []string{"true"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if e, err := Chroot(m, imagetest.Programs(), ""); err != nil || e.Requires.Arch != "arm64" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestEntryPointsOfAnEmptyImage(t *testing.T) {
	m := imagetest.Manifest(t, `{}`)
	if all, err := EntryPoints(m, imagetest.NewTree()); err != nil || all != nil {
		t.Errorf("%+v, %v", all, err)
	}
	_, err := Init(m, imagetest.NewTree(), "")
	if want := "no program at /sbin/init, /usr/lib/systemd/systemd"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if _, err := Chroot(m, imagetest.NewTree("/bin/sh = x"), ""); err == nil || !strings.Contains(err.Error(), "no program at /bin/bash, /bin/sh") {
		t.Errorf("a shell that may not be executed: %v", err)
	}
}

func TestProgramOfAnEntryPointIsChecked(t *testing.T) {
	for path, want := range map[string]string{"/bin/notes": "may not be executed", "/bin/none": "does not exist", "/usr": "not a regular file", "/bin/away": "does not exist"} {
		m := imagetest.Manifest(t, `{"entrypoints": {"x": {"type": "init", "path": "`+path+`"}}}`)
		_, err := Init(m, imagetest.Programs(), "")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `entry point x of the manifest of test`) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}
