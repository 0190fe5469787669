package tftp

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// atftpdEnv names the program atftpd. Its Debian package starts a server when
// it is installed, so that `make bench` only unpacks it.
const atftpdEnv = "CLOUDLETS_BENCH_ATFTPD"

// What BenchmarkVersus downloads.
const (
	benchSize    = 64 << 20
	benchBlksize = 1468
)

// BenchmarkVersus downloads 64 MiB by turns from this package's server, from
// dnsmasq and from atftpd, each a process of its own, with one client. It
// reports the speed of each in MiB/s and the ratios of our speed to theirs:
// above 1 we are faster. dnsmasq before version 2.92 knows no windows.
func BenchmarkVersus(b *testing.B) {
	for _, window := range []int{0, 8, 32} {
		name := "lockstep"
		if window > 0 {
			name = fmt.Sprint("window=", window)
		}
		b.Run(name, func(b *testing.B) { versus(b, window) })
	}
}

func versus(b *testing.B, window int) {
	enterEmptyNetwork(b)
	dir := b.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // both peers give up root's rights
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), content(benchSize), 0o644); err != nil {
		b.Fatal(err)
	}
	servers := map[string]int{"ours": startOurs(b, dir), "atftpd": startATFTPD(b, dir)}
	if window == 0 {
		servers["dnsmasq"] = startDnsmasq(b, dir)
	}
	for _, port := range servers {
		waitForServer(b, port)
	}
	took := map[string]time.Duration{}
	for b.Loop() {
		for name, port := range servers {
			took[name] += timeDownload(b, port, window)
		}
	}
	for name, d := range took {
		b.ReportMetric(float64(b.N)*benchSize/(1<<20)/d.Seconds(), name+"-MiB/s")
		if name != "ours" {
			b.ReportMetric(d.Seconds()/took["ours"].Seconds(), "x-"+name)
		}
	}
}

// enterEmptyNetwork gives the benchmark's thread, and the processes that it
// starts, a network namespace with nothing but a loopback interface. The
// thread, and with it the namespace, ends with the benchmark's goroutine.
func enterEmptyNetwork(b *testing.B) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		b.Fatalf("make a network namespace: %v; run the benchmark as root", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		b.Fatalf("switch the loopback interface on: %v\n%s", err, out)
	}
}

func startOurs(b *testing.B, dir string) int {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"=127.0.0.1:0", serveDirEnv+"="+dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	runUntilEnd(b, cmd)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("our server said nothing: %v", err)
	}
	var port int
	if _, err := fmt.Sscanf(line, "127.0.0.1:%d", &port); err != nil {
		b.Fatal(err)
	}
	return port
}

func startATFTPD(b *testing.B, dir string) int {
	program := os.Getenv(atftpdEnv)
	if program == "" {
		b.Fatalf("set %s to the program atftpd, of the Debian package of that name", atftpdEnv)
	}
	const port = 6969
	runUntilEnd(b, exec.Command(program, "--daemon", "--no-fork", "--logfile", "/dev/null", "--verbose=0",
		"--bind-address", "127.0.0.1", "--port", strconv.Itoa(port), dir))
	return port
}

func startDnsmasq(b *testing.B, dir string) int {
	runUntilEnd(b, exec.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=0",
		"--enable-tftp", "--tftp-root="+dir, "--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=/dev/null"))
	return 69
}

// runUntilEnd starts a server, and ends it with the benchmark.
func runUntilEnd(b *testing.B, cmd *exec.Cmd) {
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // ours ends with it
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatalf("start %s: %v", cmd.Path, err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
	})
}

// waitForServer returns once a server answers.
func waitForServer(b *testing.B, port int) {
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if s := dialRaw(b, port); s.answersAtAll() {
			return
		}
	}
	b.Fatalf("no server answers on port %d", port)
}

// rawClient is a client with as little in it as can be, so that what is
// measured is the server: one blocking socket and two system calls a packet.
type rawClient struct {
	b  *testing.B
	fd int
	to unix.Sockaddr
	p  []byte
}

func dialRaw(b *testing.B, port int) *rawClient {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	again := unix.NsecToTimeval((100 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &again); err != nil {
		b.Fatal(err)
	}
	return &rawClient{b, fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}, make([]byte, 1<<16)}
}

// answersAtAll asks for a file that is not there.
func (c *rawClient) answersAtAll() bool {
	defer unix.Close(c.fd)
	c.send(appendStrings([]byte{0, opRead}, "absent", "octet"))
	_, _, err := unix.Recvfrom(c.fd, c.p, 0)
	return err == nil
}

func (c *rawClient) send(p []byte) {
	if err := unix.Sendto(c.fd, p, 0, c.to); err != nil {
		c.b.Fatal(err)
	}
}

// timeDownload fetches the file once and returns how long that took.
func timeDownload(b *testing.B, port, window int) time.Duration {
	c := dialRaw(b, port)
	defer unix.Close(c.fd)
	options := []string{"file", "octet", "blksize", strconv.Itoa(benchBlksize)}
	if window > 0 {
		options = append(options, "windowsize", strconv.Itoa(window))
	}
	began := time.Now()
	c.send(appendStrings([]byte{0, opRead}, options...))
	n, from, err := unix.Recvfrom(c.fd, c.p, 0)
	for ; err == unix.EAGAIN || err == unix.EINTR; n, from, err = unix.Recvfrom(c.fd, c.p, 0) {
	}
	if err != nil || opcode(c.p[:n]) != opOAck {
		b.Fatalf("port %d answered %q, %v; want the options acknowledged", port, c.p[:max(n, 0)], err)
	}
	c.to = from
	if err := unix.Connect(c.fd, from); err != nil {
		b.Fatal(err)
	}
	if got := c.receiveAll(max(window, 1)); got != benchSize {
		b.Fatalf("port %d sent %d bytes, want %d", port, got, benchSize)
	}
	return time.Since(began)
}

// receiveAll acknowledges windows until the last block, and asks again at
// gaps and after silence, as RFC 7440 has it.
func (c *rawClient) receiveAll(window int) (total int) {
	ack := []byte{0, opAck, 0, 0}
	last, inWindow, gap := uint16(0), 0, false
	answer := func() {
		binary.BigEndian.PutUint16(ack[2:], last)
		if _, err := unix.Write(c.fd, ack); err != nil {
			c.b.Fatal(err)
		}
		inWindow = 0
	}
	answer()
	for {
		n, err := unix.Read(c.fd, c.p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			answer()
			continue
		case err != nil:
			c.b.Fatalf("%d bytes so far: %v", total, err)
		case opcode(c.p[:n]) != opData:
			c.b.Fatalf("%d bytes so far, then %q", total, c.p[:n])
		}
		if binary.BigEndian.Uint16(c.p[2:]) != last+1 {
			if !gap {
				answer()
			}
			gap = true
			continue
		}
		last, gap = last+1, false
		total += n - headerLen
		inWindow++
		ended := n < headerLen+benchBlksize
		if inWindow == window || ended {
			answer()
		}
		if ended {
			return total
		}
	}
}
