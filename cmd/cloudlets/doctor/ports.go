//go:build linux

package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryListen opens a port as serve does, and closes it. If iface is given, it is
// opened on that interface only. The error names the process that has the port.
func tryListen(ctx context.Context, network, address, iface string) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return bindTo(c, iface) }}
	var l io.Closer
	var err error
	if strings.HasPrefix(network, "udp") {
		l, err = config.ListenPacket(ctx, network, address)
	} else {
		l, err = config.Listen(ctx, network, address)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, portOwner(network, address))
	}
	return l.Close()
}

// bindTo binds a socket to an interface, unless that is "".
func bindTo(c syscall.RawConn, iface string) error {
	if iface == "" {
		return nil
	}
	var bound error
	err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), iface) })
	return errors.Join(err, bound)
}

// portOwner says which process has a port, as " (dnsmasq, pid 123, has it)". It
// is empty if that is not known.
func portOwner(network, address string) string {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return ""
	}
	inodes := socketsOn(strings.TrimRight(network, "46"), port)
	if pid, name := holderOf(inodes); pid != "" {
		return fmt.Sprintf(" (%s, pid %s, has it: stop it, or use another port)", name, pid)
	}
	return ""
}

// listening is the state, in /proc/net/tcp, of a TCP socket that waits for
// connections.
const listening = "0A"

// socketsOn are the inodes of the sockets that are bound to a port. They are in
// /proc/net/udp and its like: proc_net(5).
func socketsOn(network string, port int) map[string]bool {
	inodes := map[string]bool{}
	for _, table := range []string{network, network + "6"} {
		f, err := os.Open("/proc/net/" + table)
		if err != nil {
			continue
		}
		scan := bufio.NewScanner(f)
		for scan.Scan() {
			fields := strings.Fields(scan.Text())
			if len(fields) > 9 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && (network == "udp" || fields[3] == listening) {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
		f.Close()
	}
	return inodes
}

// holderOf finds a process that has one of the sockets open.
func holderOf(inodes map[string]bool) (pid, name string) {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid = strings.Split(link, "/")[2]
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		return pid, strings.TrimSpace(string(comm))
	}
	return "", ""
}
