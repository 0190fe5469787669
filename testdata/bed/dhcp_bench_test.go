package bed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// keaEnv names the program kea-dhcp4. Its Debian package starts a server when it
// is installed, so that `make bench` only unpacks it.
const keaEnv = "CLOUDLETS_BENCH_KEA"

const (
	dhcpRate    = 6000 // exchanges that are asked for in a second
	dhcpSeconds = 10
	dhcpClients = 30000 // so many different ones, at random
)

// BenchmarkDHCP has perfdhcp make four-way exchanges with this server and with
// Kea, each in a network namespace of its own, with leases on the disk. It
// reports exchanges in a second, the part of requests that perfdhcp saw no answer
// to, the part of packets that the server's own socket dropped, and the server's
// processor time for an exchange. With two processors, perfdhcp drops answers
// itself. The machines of a site have
// reserved addresses outside the pool.
func BenchmarkDHCP(b *testing.B) {
	for _, machines := range []int{0, 10, 1000, 10000} {
		b.Run(fmt.Sprintf("cloudlets/machines=%d", machines), func(b *testing.B) {
			measureDHCP(b, func(b *testing.B, w *wire, dir string) *exec.Cmd { return serveReserved(b, w, dir, machines) })
		})
	}
	b.Run("kea", func(b *testing.B) { measureDHCP(b, serveKea) })
}

// wires counts the wires of this process, since the names of namespaces are the
// host's.
var wires int

// wire is two namespaces and a cable between them.
type wire struct{ server, client string }

func newWire(b *testing.B) *wire {
	b.Helper()
	needs.Root(b)
	wires++
	w := &wire{fmt.Sprintf("cl-ds-%d-%d", os.Getpid(), wires), fmt.Sprintf("cl-dc-%d-%d", os.Getpid(), wires)}
	for _, ns := range []string{w.server, w.client} {
		mustRun(b, "ip", "netns", "add", ns)
		b.Cleanup(func() { mustRun(b, "ip", "netns", "del", ns) })
	}
	mustRun(b, "ip", "link", "add", "eth0", "netns", w.server, "type", "veth", "peer", "name", "eth0", "netns", w.client)
	for ns, addr := range map[string]string{w.server: "10.77.0.1/16", w.client: "10.77.0.2/16"} {
		mustRun(b, "ip", "-n", ns, "addr", "add", addr, "dev", "eth0")
		mustRun(b, "ip", "-n", ns, "link", "set", "eth0", "up")
	}
	return w
}

func mustRun(b *testing.B, name string, args ...string) string {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start starts a server in its namespace, and ends it with the benchmark.
func (w *wire) start(b *testing.B, log string, name string, args ...string) *exec.Cmd {
	b.Helper()
	file, err := os.Create(log)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", w.server, name}, args...)...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		file.Close()
	})
	return cmd
}

func waitForText(b *testing.B, log, text string) {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), time.Minute)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		said, err := os.ReadFile(log)
		if err == nil && strings.Contains(string(said), text) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatalf("the server does not say %q:\n%s", text, said)
		}
	}
}

// serveReserved serves a site with so many machines, each with an address.
func serveReserved(b *testing.B, w *wire, dir string, machines int) *exec.Cmd {
	site := filepath.Join(dir, "site")
	if err := os.MkdirAll(filepath.Join(site, "machines"), 0o755); err != nil {
		b.Fatal(err)
	}
	for i := range machines {
		text := fmt.Sprintf(`{"hostname": "node%d", "address": "10.77.%d.%d"}`, i, 1+i>>8, i&255)
		name := fmt.Sprintf("52-54-00-00-%02x-%02x.json", i>>8, i&255)
		if err := os.WriteFile(filepath.Join(site, "machines", name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	log := filepath.Join(dir, "log")
	cmd := w.start(b, log, binary, "serve", "--interface", "eth0", "--site", site, "--state", filepath.Join(dir, "state"),
		"--socket", filepath.Join(dir, "socket"), "--dhcp", "10.77.64.0-10.77.255.250", "--tftp", "off", "--http", "10.77.0.1:80")
	waitForText(b, log, "serving")
	return cmd
}

func serveKea(b *testing.B, w *wire, dir string) *exec.Cmd {
	kea := os.Getenv(keaEnv)
	if kea == "" {
		b.Fatalf("set %s to the program kea-dhcp4, of the Debian package kea-dhcp4-server", keaEnv)
	}
	config, err := json.Marshal(map[string]any{"Dhcp4": map[string]any{
		"interfaces-config": map[string]any{"interfaces": []string{"eth0"}},
		"lease-database":    map[string]any{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv"), "lfc-interval": 0},
		"subnet4":           []any{map[string]any{"subnet": "10.77.0.0/16", "pools": []any{map[string]any{"pool": "10.77.64.0-10.77.255.250"}}}},
		"loggers":           []any{map[string]any{"name": "kea-dhcp4", "severity": "WARN", "output_options": []any{map[string]any{"output": "stdout"}}}},
	}})
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "kea.json"), config, 0o644)); err != nil {
		b.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	b.Setenv("KEA_PIDFILE_DIR", dir)
	b.Setenv("KEA_LOCKFILE_DIR", dir)
	cmd := w.start(b, log, kea, "-c", filepath.Join(dir, "kea.json"))
	answers(b, w, log)
	return cmd
}

// answers waits until a server answers one client.
func answers(b *testing.B, w *wire, log string) {
	b.Helper()
	var out []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		out, _ = exec.Command("ip", "netns", "exec", w.client, "perfdhcp", "-4", "-l", "eth0", "-n", "1", "-r", "1", "10.77.0.1").CombinedOutput()
		if strings.Contains(string(out), "received packets: 1") {
			return
		}
	}
	said, _ := os.ReadFile(log)
	b.Fatalf("the server answers nobody: it says\n%s\nand perfdhcp\n%s", said, out)
}

var (
	rateLine = regexp.MustCompile(`Rate: ([0-9.]+) 4-way`)
	dropLine = regexp.MustCompile(`drops ratio: ([0-9.]+)`)
)

func measureDHCP(b *testing.B, serve func(*testing.B, *wire, string) *exec.Cmd) {
	needs.Tool(b, "perfdhcp", "kea-admin")
	var rate, drops, overflow, cpu float64
	for b.Loop() {
		w := newWire(b)
		cmd := serve(b, w, b.TempDir())
		before := cpuTime(b, cmd.Process.Pid)
		out, _ := exec.Command("ip", "netns", "exec", w.client, "perfdhcp", "-4", "-l", "eth0", "-r", strconv.Itoa(dhcpRate),
			"-R", strconv.Itoa(dhcpClients), "-p", strconv.Itoa(dhcpSeconds), "-W", "1000000", "10.77.0.1").CombinedOutput() // fails if there are drops
		used := cpuTime(b, cmd.Process.Pid) - before
		got := rateLine.FindSubmatch(out)
		lost := dropLine.FindAllSubmatch(out, -1)
		if got == nil || len(lost) == 0 {
			b.Fatalf("perfdhcp says\n%s", out)
		}
		cmd.Process.Signal(syscall.SIGTERM) // the next server needs the processors
		cmd.Wait()
		r, _ := strconv.ParseFloat(string(got[1]), 64)
		rate += r
		for _, l := range lost {
			d, _ := strconv.ParseFloat(string(l[1]), 64)
			drops += d / float64(len(lost))
		}
		overflow += overflowed(b, w.server)
		cpu += used.Seconds() * 1e6 / (r * dhcpSeconds)
	}
	n := float64(b.N)
	b.ReportMetric(rate/n, "exchanges/s")
	b.ReportMetric(drops/n, "drops-%")
	b.ReportMetric(overflow/n, "server-drops-%")
	b.ReportMetric(cpu/n, "cpu-µs/exchange")
}

// overflowed is how many percent of the UDP packets of a namespace were dropped
// because a socket's buffer was full.
func overflowed(b *testing.B, ns string) float64 {
	b.Helper()
	var received, lost float64
	for _, line := range strings.Split(mustRun(b, "ip", "netns", "exec", ns, "cat", "/proc/net/snmp"), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[0] != "Udp:" || fields[1] == "InDatagrams" {
			continue
		}
		received, _ = strconv.ParseFloat(fields[1], 64)
		lost, _ = strconv.ParseFloat(fields[5], 64)
	}
	return 100 * lost / max(received+lost, 1)
}

// cpuTime is the processor time of a process and of its children that have
// ended (proc_pid_stat(5)).
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // sysconf(_SC_CLK_TCK) is 100 on Linux
}
