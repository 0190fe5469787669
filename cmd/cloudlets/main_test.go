package main

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"cloudlets/images/disk/disktest"
	testcluster "cloudlets/testdata/etcd"
	"cloudlets/testdata/needs"
	testregistry "cloudlets/testdata/registry"
)

// patience ends a script that hangs; nothing waits for it otherwise.
const patience = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cloudlets": main})
}

// TestScript is the contract of the command line. Beside testscript's own
// commands, the scripts have those of commands, below.
func TestScript(t *testing.T) {
	runScripts(t, "testdata/script")
}

// runScripts runs the scripts in a folder.
func runScripts(t *testing.T, dir string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir: dir, Deadline: time.Now().Add(10 * patience), RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": until, "freeport": freePort, "hold": hold, "kernel": writeKernel, "program": writeProgram, "network": network, "same": same, "part": copyPart, "needs": need, "etcd": startEtcd, "registry": startRegistry,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("CLOUDLETS_SOCKET", filepath.Join(env.WorkDir, "sock"))
			env.Setenv("PATH", env.Getenv("PATH")+":/usr/sbin:/sbin") // where needs looks, too
			env.Values[scriptTest{}] = env.T()
			env.Setenv("GORACE", "atexit_sleep_ms=0") // each process waits a second else
			return nil
		},
	})
}

// scriptTest is the key of a script's own test.
type scriptTest struct{}

// needs root, or needs PROGRAM DEBIAN-PACKAGE, says what a script cannot do
// without.
func need(ts *testscript.TestScript, _ bool, args []string) {
	t := ts.Value(scriptTest{}).(testing.TB)
	switch {
	case len(args) == 1 && args[0] == "root":
		needs.Root(t)
	case len(args) == 2:
		needs.Tool(t, args[0], args[1])
	default:
		ts.Fatalf("usage: needs root|PROGRAM DEBIAN-PACKAGE")
	}
}

// etcd NAME starts a member of etcd, and puts its URL into a variable.
func startEtcd(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: etcd NAME")
	}
	ts.Setenv(args[0], testcluster.Start(ts.Value(scriptTest{}).(testing.TB), 1).Endpoints()[0])
}

// registry NAME starts a container registry, and sets a variable to its address.
func startRegistry(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: registry NAME")
	}
	ts.Setenv(args[0], testregistry.Start(ts.Value(scriptTest{}).(testing.TB), false))
}

// exits CODE COMMAND… runs a command, which must end with that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// until REGEXP COMMAND… runs a command again and again until it ends well and
// prints what matches. Each time it starts a program, which costs more than most of
// what is waited for. So the longer it has waited, the longer it pauses.
func until(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	begun := time.Now()
	for end := time.After(patience); ; {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-end:
			ts.Fatalf("%q does not come: %v", args[0], err)
		case <-time.After(max(20*time.Millisecond, min(time.Since(begun)/3, time.Second))):
		}
	}
}

// same FILE FILE, or same FOLDER FOLDER, compares every byte, as cmp and diff -r do, but
// reads no holes of disks.
func same(ts *testscript.TestScript, not bool, args []string) {
	if not || len(args) != 2 {
		ts.Fatalf("usage: same FILE|FOLDER FILE|FOLDER")
	}
	one, two := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	info, err := os.Stat(one)
	ts.Check(err)
	if info.IsDir() {
		ts.Check(disktest.SameFolders(one, two))
	} else {
		ts.Check(disktest.SameFiles(one, two))
	}
}

// part DISK NUMBER FILE makes a file of a partition that sgdisk finds on a disk. With !
// there must be no such partition.
func copyPart(ts *testscript.TestScript, not bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: part DISK NUMBER FILE")
	}
	from, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer from.Close()
	ts.Check(ts.Exec("sgdisk", "-i", args[1], args[0]))
	said := ts.ReadFile("stdout")
	number := func(after string) (n int64) {
		if _, rest, found := strings.Cut(said, after); found {
			_, _ = fmt.Sscan(rest, &n) // no number is none
		}
		return n * 512
	}
	size := number("Partition size: ")
	if (size == 0) != not {
		ts.Fatalf("partition %s of %s has %d bytes: %s", args[1], args[0], size, said)
	}
	if !not {
		ts.Check(disktest.CopyPart(ts.MkAbs(args[2]), from, number("First sector: "), size))
	}
}

// freeport NETWORK NAME sets an environment variable to a port of loopback
// that is free.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	port, closeIt := listen(ts, args)
	ts.Check(closeIt())
	ts.Setenv(args[1], port)
}

// hold NETWORK NAME does the same with a port that this process has, until the
// script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	port, closeIt := listen(ts, args)
	ts.Defer(func() { _ = closeIt() }) // the process ends with it at the latest
	ts.Setenv(args[1], port)
}

func listen(ts *testscript.TestScript, args []string) (port string, closeIt func() error) {
	if len(args) != 2 || args[0] != "tcp" && args[0] != "udp" {
		ts.Fatalf("usage: freeport|hold tcp|udp NAME")
	}
	if args[0] == "udp" {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		ts.Check(err)
		return strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port), conn.Close
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), l.Close
}

// archOf is the architecture that a command names after its file: amd64, unless it
// says arm64.
func archOf(ts *testscript.TestScript, args []string) string {
	switch {
	case len(args) == 1:
		return "amd64"
	case len(args) == 2 && args[1] == "arm64":
		return args[1]
	}
	ts.Fatalf("usage: program|kernel FILE [arm64]")
	return ""
}

// program FILE [arm64] writes a file that is a program for an architecture, as far as
// its first bytes tell. This test's own is large, and slow to compress.
func writeProgram(ts *testscript.TestScript, _ bool, args []string) {
	b := make([]byte, 4096)
	copy(b, "\x7fELF\x02\x01\x01")
	b[18] = byte(elf.EM_X86_64)
	if archOf(ts, args) == "arm64" {
		b[18] = byte(elf.EM_AARCH64)
	}
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o755))
}

// kernel FILE [arm64] writes a file that is a kernel for an architecture, as far as
// its first bytes tell (Documentation/arch/x86/boot.rst, arm64/booting.rst).
func writeKernel(ts *testscript.TestScript, _ bool, args []string) {
	b := make([]byte, 8192)
	if archOf(ts, args) == "arm64" {
		copy(b[0x38:], "ARM\x64")
	} else {
		copy(b[0x202:], "HdrS")
		binary.LittleEndian.PutUint16(b[0x206:], 0x20c)
		binary.LittleEndian.PutUint16(b[0x236:], 1)
	}
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	ts.Check(os.WriteFile(name, b, 0o644))
}

// network NAME [OTHER] makes a network namespace with the interface eth0, which is up
// and has no address, and sets NAME to it. The other end of its cable, eth1, is there
// too, or in a namespace OTHER of its own. Both go when the script ends.
func network(ts *testscript.TestScript, _ bool, args []string) {
	space := fmt.Sprintf("cloudlets-%d-%s", os.Getpid(), filepath.Base(ts.Getenv("WORK")))
	ip := func(args ...string) {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			ts.Logf("ip %v: %v: %s", args, err, out)
			ts.Check(err)
		}
	}
	spaces := []string{space, space + "-other"}[:len(args)]
	for i, name := range spaces {
		ip("netns", "add", name)
		ts.Defer(func() { ip("netns", "delete", name) })
		ts.Setenv(args[i], name)
		ip("-n", name, "link", "set", "lo", "up")
	}
	other := spaces[len(spaces)-1]
	ip("-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns", other)
	ip("-n", space, "link", "set", "eth0", "up")
	ip("-n", other, "link", "set", "eth1", "up")
}

// TestHelp: every verb that is shown says in a line what it does, gives an
// example, and has no flag without a word about it.
func TestHelp(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, "cloudlets "+cmd.Name()) {
			t.Errorf("%s: its help has no line or no example", cmd.Name())
		}
		if cmd.GroupID == "" {
			t.Errorf("%s: it is in none of the help's groups", cmd.Name())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s is not explained", cmd.Name(), f.Name)
			}
		})
	}
}
