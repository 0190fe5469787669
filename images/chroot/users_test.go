//go:build linux

package chroot

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"cloudlets/testdata/needs"
)

// TestWithoutRoot checks that an ordinary user is root inside.
func TestWithoutRoot(t *testing.T) {
	root := busybox(t)
	write(t, root+"/etc/motd", "before\n", 0o644)
	give(t, root, nobody)
	before := listing(t, root)
	cmd := asUser(t, alone{Dir: root, Command: script(`
		id -u; hostname; echo $PPID; test -s /etc/resolv.conf && echo resolver
		echo after > /etc/motd; rm -r /tmp; mkdir /tmp; echo x > /tmp/x; cat /etc/motd /tmp/x
		echo x > /dev/null; test -c /dev/ptmx && echo x > /dev/shm/x && echo devices
		find /dev -type b; ls -d /sys/class/net; touch /sys/kernel/mm/ksm/run 2>/dev/null || echo read-only
		cat /proc/sys/kernel/ostype; exit 4`)})
	var problems strings.Builder
	cmd.Stderr = &problems
	out, _ := cmd.Output() // the exit code is looked at below
	const want = "0\nbox\n1\nresolver\nafter\nx\ndevices\n/sys/class/net\nread-only\nLinux\n"
	if string(out) != want || cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("exit %d, %q, %s; want %q", cmd.ProcessState.ExitCode(), out, problems.String(), want)
	}
	if after := listing(t, root); after != before {
		t.Errorf("the image was changed:\n%s\nwas\n%s", after, before)
	}
	cmd = asUser(t, alone{Dir: root, Write: true, Command: script("echo after > /etc/motd")})
	if out, err := cmd.CombinedOutput(); err != nil || read(t, root+"/etc/motd") != "after\n" {
		t.Errorf("--write as a user: %v, %s, and then %q", err, out, read(t, root+"/etc/motd"))
	}
}

// TestSubordinateUsers checks that there are more users than root inside if the
// caller has a range of users. newuidmap reads /etc/subuid, so the test covers
// that file in a mount namespace.
func TestSubordinateUsers(t *testing.T) {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		needs.Tool(t, tool, "uidmap")
	}
	root := busybox(t)
	give(t, root, nobody)
	ranges := openDir(t) + "/ranges"
	write(t, ranges, "nobody:200000:1000\n65534:300000:64536\n", 0o644)
	cmd := program(t, alone{Dir: root, Command: script("touch /tmp/x && chown 1001:65000 /tmp/x && stat -c %u:%g /tmp/x; cat /proc/self/uid_map")})
	const cover = `for f in /etc/subuid /etc/subgid; do mount --bind "$0" $f || exit 90; done; exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`
	outer := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "sh", "-c", cover, ranges}, cmd.Args...)...)
	out, err := outer.CombinedOutput()
	fields := strings.Fields(string(out))
	want := []string{"1001:65000", "0", "65534", "1", "1", "200000", "1000", "1001", "300000", "64536"}
	if err != nil || !reflect.DeepEqual(fields, want) {
		t.Errorf("%v, %s; want %v", err, out, want)
	}
}

func TestParseSubordinates(t *testing.T) {
	text := "# comment\njoe:100000:65536\n\njane:1:2\n1000:200000:10\njoe:x:y\njoe:5\njoe:7:0\njoe:4294967296:1\n"
	got := parseSubordinates([]byte(text), "joe", "1000")
	if want := []idRange{{100000, 65536}, {200000, 10}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
