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
	"time"

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
		return &portTaken{err, ownerOf(network, address)}
	}
	return l.Close()
}

// portTaken says why a port cannot be opened, and which process has it.
type portTaken struct {
	err   error
	owner owner
}

func (p *portTaken) Unwrap() error { return p.err }

func (p *portTaken) Error() string {
	if p.owner.pid == 0 {
		return p.err.Error()
	}
	return fmt.Sprintf("%v (%s, pid %d, has it: stop it, or use another port)", p.err, p.owner.name, p.owner.pid)
}

// owner is a process. Its pid is 0 if it is not known.
type owner struct {
	pid  int
	name string
}

// runningServer is the process of the server that answers at a socket, or 0.
func runningServer(ctx context.Context, socket string) (pid int) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}

// foundPort is the finding of a try to open a port. The running server's own ports are
// as they shall be.
func foundPort(what, use string, server int, err error) Finding {
	var taken *portTaken
	if server != 0 && errors.As(err, &taken) && taken.owner.pid == server {
		return Finding{What: fmt.Sprintf("%s is the running server's, pid %d, for %s", what, server, use)}
	}
	return Found(what+" is free, for "+use, err)
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

// ownerOf finds the process that has a port.
func ownerOf(network, address string) owner {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return owner{}
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return owner{}
	}
	return holderOf(socketsOn(strings.TrimRight(network, "46"), port))
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
func holderOf(inodes map[string]bool) owner {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		text := strings.Split(link, "/")[2]
		pid, _ := strconv.Atoi(text) // the pattern has digits alone
		comm, _ := os.ReadFile("/proc/" + text + "/comm")
		return owner{pid, strings.TrimSpace(string(comm))}
	}
	return owner{}
}
