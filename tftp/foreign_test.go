package tftp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	pin "github.com/pin/tftp/v3"
	packag "pack.ag/tftp"

	"cloudlets/testdata/needs"
)

// serveEnv makes the test binary a server at an address, for tests in a
// network namespace; serveDirEnv names a folder to serve instead of one file.
const (
	serveEnv    = "TFTP_TEST_SERVE"
	serveDirEnv = "TFTP_TEST_SERVE_DIR"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(serveEnv); addr != "" {
		if err := serveForParent(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveForParent serves until standard input ends, and prints the address
// that it serves at.
func serveForParent(addr string) error {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var served fs.FS = fstest.MapFS{"file": {Data: content(100_000)}}
	if dir := os.Getenv(serveDirEnv); dir != "" {
		served = os.DirFS(dir)
	}
	return (&Server{FS: served, Conn: conn}).Serve(ctx)
}

// tool finds a foreign program, or fails the test naming what to install.
func tool(t *testing.T, name, debianPackage string) string {
	t.Helper()
	return needs.Tool(t, name, debianPackage)
}

// run runs a foreign program to its end and returns all that it printed.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// bootFiles are of sizes around the edges of blocks and windows.
func bootFiles() map[string][]byte {
	m := map[string][]byte{}
	for _, n := range []int{0, 1, 511, 512, 513, 1468, 8 * 1468, 1_000_003} {
		m[fmt.Sprint("file-", n)] = content(n)
	}
	return m
}

func TestCurl(t *testing.T) {
	curl := tool(t, "curl", "curl")
	named := bootFiles()
	r := start(t, Server{FS: files(named)})
	relay := newRelay(t, start(t, Server{FS: files(named), limits: limits{timeout: 50 * time.Millisecond, retries: 30}}).addr, 100)
	for name, data := range named {
		for _, server := range []netip.AddrPort{r.addr, relay.addr()} {
			out := filepath.Join(t.TempDir(), name)
			run(t, curl, "-sS", "--tftp-blksize", "1468", "-o", out, fmt.Sprintf("tftp://%v//%s", server, name))
			// An empty download leaves no file behind.
			if got, err := os.ReadFile(out); err != nil && len(data) > 0 || !bytes.Equal(got, data) {
				t.Errorf("%s from %v: got %d bytes that are not the file, %v", name, server, len(got), err)
			}
		}
	}
}

func TestBusybox(t *testing.T) {
	busybox := tool(t, "busybox", "busybox")
	named := bootFiles()
	r := start(t, Server{FS: files(named)})
	for name, data := range named {
		for _, blksize := range []string{"512", "1432", "65464"} {
			out := filepath.Join(t.TempDir(), name)
			run(t, busybox, "tftp", "-g", "-b", blksize, "-r", name, "-l", out, r.addr.Addr().String(), strconv.Itoa(int(r.addr.Port())))
			if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s in blocks of %s: got %d bytes that are not the file, %v", name, blksize, len(got), err)
			}
		}
	}
}

func TestGoClient(t *testing.T) {
	named := bootFiles()
	for _, single := range []bool{false, true} {
		r := start(t, Server{FS: files(named), SinglePort: single})
		for name, data := range named {
			for _, window := range []int{0, 1, 4, 16, 64} {
				got, size, err := goFetch(r.addr, name, window, 1468)
				// The library cannot say 0 in an OACK.
				if err != nil || !bytes.Equal(got, data) || size != int64(len(data)) && len(data) > 0 {
					t.Errorf("%s, window %d, single port %v: got %d bytes, size %d, %v", name, window, single, len(got), size, err)
				}
			}
		}
	}
}

// goFetch downloads with a foreign library; window 0 does not negotiate one.
func goFetch(addr netip.AddrPort, name string, window, blksize int) ([]byte, int64, error) {
	options := []packag.ClientOpt{packag.ClientMode(packag.ModeOctet), packag.ClientBlocksize(blksize), packag.ClientTransferSize(true)}
	if window > 0 {
		options = append(options, packag.ClientWindowsize(window))
	}
	client, err := packag.NewClient(options...)
	if err != nil {
		return nil, 0, err
	}
	response, err := client.Get(fmt.Sprintf("tftp://%v/%s", addr, name))
	if err != nil {
		return nil, 0, err
	}
	size, _ := response.Size()
	data, err := io.ReadAll(response)
	return data, size, err
}

// TestLockstepClient fetches with the client that the doctor uses.
func TestLockstepClient(t *testing.T) {
	named := bootFiles()
	r := start(t, Server{FS: files(named)})
	for name, data := range named {
		for _, blksize := range []int{0, 1468} {
			got, size, err := pinFetch(r.addr, name, blksize)
			if err != nil || !bytes.Equal(got, data) || size != int64(len(data)) {
				t.Errorf("%s in blocks of %d: got %d bytes, size %d, %v", name, blksize, len(got), size, err)
			}
		}
	}
	if _, _, err := pinFetch(r.addr, "absent", 1468); err == nil || !strings.Contains(err.Error(), "file not found") {
		t.Errorf("a missing file: %v", err)
	}
}

// pinFetch downloads in lock-step; block size 0 does not negotiate one.
func pinFetch(addr netip.AddrPort, name string, blksize int) ([]byte, int64, error) {
	client, err := pin.NewClient(addr.String())
	if err != nil {
		return nil, 0, err
	}
	client.RequestTSize(true)
	if blksize > 0 {
		client.SetBlockSize(blksize)
	}
	file, err := client.Receive(name, "octet")
	if err != nil {
		return nil, 0, err
	}
	var size int64
	if t, ok := file.(pin.IncomingTransfer); ok {
		size, _ = t.Size()
	}
	var data bytes.Buffer
	_, err = file.WriteTo(&data)
	return data.Bytes(), size, err
}

// TestBlockSizeFitsThePath asks for huge blocks where the MTU is Ethernet's.
func TestBlockSizeFitsThePath(t *testing.T) {
	needs.Root(t)
	ip, curl := tool(t, "ip", "iproute2"), tool(t, "curl", "curl")
	ns := fmt.Sprintf("tftp-%d", os.Getpid())
	run(t, ip, "netns", "add", ns)
	t.Cleanup(func() { exec.Command(ip, "netns", "del", ns).Run() })
	run(t, ip, "-n", ns, "link", "set", "lo", "up", "mtu", "1500")
	granted := regexp.MustCompile(`blksize parsed from OACK \((\d+)\)`)
	for listen, want := range map[string]string{"127.0.0.1:0": "1468", "[::1]:0": "1448", ":0": "1468"} {
		server := serveIn(t, ip, ns, listen)
		server = strings.Replace(server, "[::]", "127.0.0.1", 1)
		out := filepath.Join(t.TempDir(), "file")
		said := run(t, ip, "netns", "exec", ns, curl, "-sS", "-v", "--tftp-blksize", "8192", "-o", out, "tftp://"+server+"/file")
		if m := granted.FindStringSubmatch(said); m == nil || m[1] != want {
			t.Errorf("%s: want blocks of %s bytes granted, curl says:\n%s", listen, want, said)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, content(100_000)) {
			t.Errorf("%s: got %d bytes that are not the file, %v", listen, len(got), err)
		}
	}
}

// serveIn runs this binary as a server in a namespace until the test ends.
func serveIn(t *testing.T, ip, ns, addr string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), ip, "netns", "exec", ns, os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+addr)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server in namespace %s said nothing: %v", ns, err)
	}
	return strings.TrimSpace(line)
}
