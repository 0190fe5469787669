package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrows are the imports that are allowed between the rooms of the house: down,
// and never up or across. Within a room Go itself forbids circles.
var arrows = map[string][]string{
	"cmd/agent":     {"provision", "images"},
	"cmd/build":     {},
	"cmd/cloudlets": {"web", "httpboot", "dhcp", "tftp", "provision", "images"},
	"cmd/demo":      {"testdata", "web", "provision", "images"},
	"cmd/fleetsim":  {"web", "provision", "images"},
	"web":           {"provision", "images"},
	"httpboot":      {"dhcp", "provision", "images"},
	"provision":     {"images"},
	"images":        {},
	"dhcp":          {},
	"tftp":          {},
	"testdata":      {},
}

// inside has the packages whose imports of our own packages are pinned one by
// one: those that must stand alone, and those that join two rooms.
var inside = map[string][]string{
	"images/footprint":   {},
	"images/lazyregexp":  {},
	"images/jsontext":    {"images/lazyregexp"},
	"images/cputime":     {},
	"images/pattern":     {"images/cputime"},
	"images/pause":       {},
	"images/tempfile":    {},
	"images/schema":      {"images/cputime", "images/jsontext", "images/pattern"},
	"images/manifest":    {"images/jsontext", "images/pattern", "images/schema"},
	"images":             {"images/jsontext", "images/manifest"},
	"images/fingerprint": {"images"},
	"images/filelist":    {"images", "images/paged"},
	"images/layers":      {"images"},
	"images/boot":        {"images", "images/manifest"},
	"provision/store":    {"images/atomicfile", "images/footprint"},
	"provision/leases":   {"dhcp", "provision/store"}, // the only one of its room that imports dhcp
	"provision/tickets":  {"provision", "provision/store"},
	"provision/track":    {"images/pause", "provision", "provision/store", "provision/tickets"},
	"provision/wire":     {"provision", "images/target"},

	"images/disk/bootloader": {"images", "images/disk/fat", "images/disk/grub", "images/disk/slots", "images/disk/uki"}, // writes no disk
	"images/metadata":        {"images"},
	"images/metadata/trees":  {"images", "images/dirtree", "images/metadata", "images/rootfs"},
	"images/vcs/commands":    {"images/vcs"}, // runs nothing

	"cmd/cloudlets/ask":      {"cmd/cloudlets/exit", "provision", "provision/site", "web/api", "web/roster"},
	"cmd/cloudlets/exit":     {},
	"cmd/cloudlets/heap":     {"images/footprint"},
	"cmd/cloudlets/outfile":  {"cmd/cloudlets/exit", "cmd/cloudlets/stdio", "images/atomicfile"},
	"cmd/cloudlets/printing": {"cmd/cloudlets/exit", "cmd/cloudlets/stdio"},
	"cmd/cloudlets/sandbox":  {"cmd/cloudlets/exit", "images/ejs"},

	"cmd/cloudlets/daemon/httpserver": {"cmd/cloudlets/daemon/lane"},
	"cmd/cloudlets/daemon/lane":       {},

	"httpboot/dialect":  {"images/boot", "images/disk/bootloader", "provision", "provision/depot", "provision/wire"}, // decides nothing
	"httpboot/loaders":  {"dhcp", "provision"},
	"httpboot/overlays": {"images", "images/pack", "provision"},
	"httpboot/turns":    {},
	"httpboot/requests": {"httpboot/dialect", "httpboot/turns", "images/ejs", "provision", "provision/tickets"}, // knows no machines
	"httpboot/machines": {"dhcp", "httpboot/dialect", "httpboot/hosts", "httpboot/requests", "images/bytesize", "provision", "provision/track"},
	"httpboot/systems": {
		"httpboot/machines", "httpboot/requests", "httpboot/turns", "images", "images/lazyregexp", "provision", "provision/cloudinit", "provision/netconfig", "provision/rendering", "provision/running", "provision/trial", "provision/wire",
	},

	"dhcp":           {},
	"dhcp/advertise": {"dhcp"},
	"dhcp/ifwatch":   {},
	"dhcp/serving":   {"dhcp"},
	"dhcp/table":     {"dhcp"},
	"dhcp/ether":     {"dhcp", "dhcp/serving"},
	"dhcp/v4":        {"dhcp", "dhcp/ether", "dhcp/ifwatch", "dhcp/serving", "dhcp/table"},
	"dhcp/v6":        {"dhcp", "dhcp/ifwatch", "dhcp/serving"},

	"provision/naming":        {"images/jsontext", "images/lazyregexp"},
	"provision/power":         {},
	"provision/power/redfish": {"provision/power"},
	"provision/power/ipmi":    {"provision/power"},
	"provision/power/wake":    {"images/pause", "provision/power"},
	"provision/power/command": {"provision/power"},
	"provision/power/desk":    {"images/pause", "provision", "provision/power"},

	"provision/site/keys": {"images/bytesize", "images/jsontext", "images/lazyregexp", "images/manifest", "provision", "provision/cloudinit"}, // reads no files

	"provision/track/quiet": {"provision", "provision/track"},

	"provision/rollout":           {"provision"},
	"provision/rollout/book":      {"provision", "provision/members", "provision/rollout", "provision/store"},
	"provision/rollout/conductor": {"images/pause", "provision", "provision/rollout", "provision/rollout/book", "provision/store", "provision/track"},

	"web/api":   {"images/jsontext", "images/pause", "provision", "provision/leases", "provision/power", "provision/power/desk", "provision/rollout", "provision/site", "web/roster", "web/sse"},
	"web/page":  {"web/api"},
	"web/shown": {"provision", "web/api", "web/roster"},
	"web/sse":   {},

	"provision/netconfig": {"images", "provision"},
	"provision/cloudinit": {"images", "provision"},
	"provision/bootorder": {},

	"provision/store/etcd": {"images/pause", "provision/store"},
	"provision/members":    {"provision/store"},
	"provision/failover":   {},
	"provision/authority":  {"provision/store"},
	"provision/uplink":     {"images/pause", "provision"},
	"provision/clock":      {},

	// Nothing that looks at a machine, or starts a system in its memory, can install.
	"provision/agent/client":  {"images/bytesize", "images/pause", "images/retryafter", "provision", "provision/failover", "provision/wire"},
	"provision/agent/inspect": {"images/disk/probe", "images/pause", "provision", "provision/agent/client", "provision/hardware", "provision/process1", "provision/wire"},
	"provision/agent/diskless": {
		"images/boot", "images/bytesize", "images/chunks", "images/disk", "images/pack", "provision", "provision/agent/client", "provision/agent/inspect", "provision/hardware", "provision/kmod",
		"provision/live", "provision/nbd", "provision/netroot", "provision/preinit", "provision/process1", "provision/rescue", "provision/uplink", "provision/wire",
	},
	"provision/agent/install": {
		"images", "images/bytesize", "images/disk", "images/disk/bootloader", "images/disk/ext4", "images/disk/md", "images/disk/probe", "images/disk/slots", "images/disk/sparse", "images/manifest", "images/pack", "images/pause",
		"images/ramdisk", "images/target", "provision", "provision/agent/client", "provision/bootorder", "provision/hardware", "provision/trial", "provision/wire",
	},
}

// onlyOnMachines are the packages, our own and others', that only the program
// on a machine needs. The server's boot chain must not depend on them.
var onlyOnMachines = []string{
	"cloudlets/provision/agent", "cloudlets/provision/bootorder", "cloudlets/provision/clock", "cloudlets/provision/kmod", "cloudlets/provision/live", "cloudlets/provision/machine", "cloudlets/provision/mirror",
	"cloudlets/provision/preinit", "cloudlets/provision/process1", "cloudlets/provision/rescue", "cloudlets/provision/uplink", "netlink", "nclient4", "nclient6",
}

// verbs is the folder of the packages of verbs. None of them imports another one: what two
// share stands beside that folder.
const verbs = "cloudlets/cmd/cloudlets/verbs/"

// topLevel is what may stand in the repository's root.
var topLevel = []string{
	".cache", ".ci", ".git", ".gitignore", "ARCHITECTURE.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum",
	"bin", "cmd", "dhcp", "docs", "httpboot", "images", "provision", "testdata", "tftp", "web",
}

// listed is what `go list` tells of a package.
type listed struct {
	Dir, ImportPath, Name, Doc string
	GoFiles, Imports           []string
}

// TestHouseRules holds this module to the rules that ARCHITECTURE.md states.
func TestHouseRules(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list shows only %d packages", len(packages))
	}
	for _, p := range packages {
		for _, broken := range append(p.violations(), p.inits(t)...) {
			t.Error(broken)
		}
	}
	root, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range root {
		if !slices.Contains(topLevel, entry.Name()) {
			t.Errorf("%s: a new entry in the repository's root; it needs a place in a folder, or a reason and a line in topLevel", entry.Name())
		}
	}
}

// TestServerWithoutInstaller: what the boot chain depends on has nothing that
// only a machine's installer needs.
func TestServerWithoutInstaller(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./httpboot")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, "cloudlets/provision/wire") {
		t.Fatalf("go list shows %d packages, and not the one that the server shares with the installer", len(packages))
	}
	for _, p := range packages {
		if isOnlyOnMachines(p) {
			t.Errorf("httpboot depends on %s, which only a machine's installer needs", p)
		}
	}
	for p, want := range map[string]bool{"cloudlets/provision/agent": true, "github.com/mdlayher/netlink": true, "github.com/vishvananda/netlink/nl": true, "cloudlets/provision": false} {
		if isOnlyOnMachines(p) != want {
			t.Errorf("%s is only on machines: %t", p, !want)
		}
	}
}

// notOnMachines are what the program for machines does without: the server, its command
// line, templates, and registries. Its size is paid for with each boot.
var notOnMachines = []string{
	"cloudlets/cmd/cloudlets", "cloudlets/dhcp", "cloudlets/httpboot", "cloudlets/images/ejs", "cloudlets/images/registry", "cloudlets/provision/site", "cloudlets/provision/store",
	"cloudlets/tftp", "cloudlets/web", "github.com/dop251/goja", "github.com/google/go-containerregistry", "github.com/spf13/cobra", "go.etcd.io", "google.golang.org/grpc",
}

// TestMachinesWithoutServer: the program for machines links nothing that only the
// server or its command line needs.
func TestMachinesWithoutServer(t *testing.T) {
	dependencies := func(program string) (found []string) {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for p := range strings.FieldsSeq(string(out)) {
			if slices.ContainsFunc(notOnMachines, func(name string) bool { return p == name || strings.HasPrefix(p, name+"/") }) {
				found = append(found, p)
			}
		}
		return found
	}
	if found := dependencies("./cmd/agent"); found != nil {
		t.Errorf("the program for machines depends on %q", found)
	}
	server := dependencies("./cmd/cloudlets")
	for _, name := range notOnMachines {
		if !slices.ContainsFunc(server, func(p string) bool { return p == name || strings.HasPrefix(p, name+"/") }) {
			t.Errorf("%s is nowhere in the server either: what does this keep out?", name)
		}
	}
}

// isOnlyOnMachines says whether a package is one of [onlyOnMachines], or in
// one: by its whole path, or by an element of it.
func isOnlyOnMachines(importPath string) bool {
	return slices.ContainsFunc(onlyOnMachines, func(name string) bool {
		return strings.Contains("/"+importPath+"/", "/"+name+"/")
	})
}

func list(t *testing.T) (packages []listed) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,Name,Doc,GoFiles,Imports", "./...", "./testdata/bed", "./testdata/distros", "./testdata/etcd", "./testdata/needs")
	cmd.Dir = "../.."
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, problems.String())
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// violations are the rules that a package breaks, in words.
func (p listed) violations() (broken []string) {
	from := room(p.ImportPath)
	allowed, known := arrows[from]
	if !known {
		broken = append(broken, fmt.Sprintf("%s: the room %s is new; draw its arrows", p.ImportPath, from))
	}
	for _, imported := range p.Imports {
		if imported == "cloudlets/testdata/needs" && strings.HasSuffix(p.ImportPath, "test") {
			continue // what is for tests alone says what it needs, as they do
		}
		if strings.HasPrefix(p.ImportPath, verbs) && strings.HasPrefix(imported, verbs) {
			broken = append(broken, fmt.Sprintf("%s imports %s: what verbs share stands beside %s", p.ImportPath, imported, path.Clean(verbs)))
		}
		if pinned, ok := inside[strings.TrimPrefix(p.ImportPath, "cloudlets/")]; ok {
			if to, ours := strings.CutPrefix(imported, "cloudlets/"); ours && !slices.Contains(pinned, to) {
				broken = append(broken, fmt.Sprintf("%s imports %s: it may import %v", p.ImportPath, imported, pinned))
			}
			continue
		}
		if to := room(imported); to != "" && to != from && !slices.Contains(allowed, to) {
			broken = append(broken, fmt.Sprintf("%s imports %s: %s may import %v", p.ImportPath, imported, from, allowed))
		}
	}
	switch last := path.Base(p.ImportPath); {
	case strings.HasSuffix(last, "util"), strings.HasSuffix(last, "utils"), last == "common", last == "helpers", last == "misc":
		broken = append(broken, fmt.Sprintf("%s: a package is named for what it has, not for being of use", p.ImportPath))
	}
	if p.Doc == "" {
		broken = append(broken, fmt.Sprintf("%s: it has no package comment", p.ImportPath))
	}
	return broken
}

// room is the part of the house that a package is in: the folder below the
// root, and of commands each by itself; "" for packages that are not ours.
func room(importPath string) string {
	inside, ours := strings.CutPrefix(importPath, "cloudlets/")
	if !ours {
		return ""
	}
	first, rest, _ := strings.Cut(inside, "/")
	if first == "cmd" {
		second, _, _ := strings.Cut(rest, "/")
		return "cmd/" + second
	}
	return first
}

// inits finds functions that run before main.
func (p listed) inits(t *testing.T) (broken []string) {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if hasInit(file) {
			broken = append(broken, fmt.Sprintf("%s: %s has an init function: make what it makes where it is used", p.ImportPath, name))
		}
	}
	return broken
}

func hasInit(file *ast.File) bool {
	return slices.ContainsFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Recv == nil && f.Name.Name == "init"
	})
}

// TestHouseRulesBite: the checks find what they are for.
func TestHouseRulesBite(t *testing.T) {
	for word, p := range map[string]listed{
		"dhcp may import []":         {ImportPath: "cloudlets/dhcp/dhcptest", Doc: "x", Imports: []string{"net", "cloudlets/provision"}},
		"tftp may import []":         {ImportPath: "cloudlets/tftp", Doc: "x", Imports: []string{"cloudlets/dhcp"}},
		"imports cloudlets/tftp":     {ImportPath: "cloudlets/httpboot", Doc: "x", Imports: []string{"cloudlets/tftp"}},
		"imports cloudlets/web":      {ImportPath: "cloudlets/provision/agent", Doc: "x", Imports: []string{"cloudlets/web"}},
		"imports cloudlets/httpboot": {ImportPath: "cloudlets/web", Doc: "x", Imports: []string{"cloudlets/httpboot"}},
		"imports cloudlets/testdata": {ImportPath: "cloudlets/cmd/cloudlets", Doc: "x", Imports: []string{"cloudlets/testdata/bed"}},
		"images may import []":       {ImportPath: "cloudlets/images/pack", Doc: "x", Imports: []string{"cloudlets/provision"}},
		"pack imports cloudlets/tes": {ImportPath: "cloudlets/images/pack", Doc: "x", Imports: []string{"cloudlets/testdata/needs"}},
		"it may import [images]":     {ImportPath: "cloudlets/images/layers", Doc: "x", Imports: []string{"cloudlets/images/pack"}},
		"provision may import [imag": {ImportPath: "cloudlets/provision/track2", Doc: "x", Imports: []string{"cloudlets/dhcp"}},
		"what verbs share stands":    {ImportPath: verbs + "image", Doc: "x", Imports: []string{verbs + "media"}},
		"the room internal is new":   {ImportPath: "cloudlets/internal/x", Doc: "x"},
		"not for being of use":       {ImportPath: "cloudlets/web/netutil", Doc: "x"},
		"it has no package comment":  {ImportPath: "cloudlets/web"},
		"":                           {ImportPath: "cloudlets/web", Doc: "x", Imports: []string{"cloudlets/web/page", "cloudlets/images/pack", "fmt"}},
	} {
		found := strings.Join(p.violations(), "\n")
		if !strings.Contains(found, word) || word == "" && found != "" {
			t.Errorf("%+v: found %q, want %q", p, found, word)
		}
	}
	dir := t.TempDir()
	for source, want := range map[string]int{"package x\nfunc init() {}": 1, "package x\ntype t int\nfunc (t) init() {}": 0} {
		if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if found := (listed{Dir: dir, GoFiles: []string{"x.go"}}).inits(t); len(found) != want {
			t.Errorf("%q: found %q", source, found)
		}
	}
}
