// Package etcd starts real members of an etcd cluster on loopback, for tests. It
// is not an etcd client.
package etcd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// Cluster is some members of etcd that run until the test ends.
type Cluster struct {
	t       testing.TB
	program string
	members []*member
}

// member is one process, and what it is started with.
type member struct {
	args   []string
	client string // URL
	cmd    *exec.Cmd
	ended  chan struct{}
	output *os.File
}

// patience is how long a cluster may take to be ready.
const patience = 2 * time.Minute

// Program is the file of the etcd server, which a target of the Makefile unpacks.
func Program(t testing.TB) string {
	t.Helper()
	return needs.Made(t, filepath.Join(needs.Module(t), "bin/etcd/usr/bin/etcd"), "bin/etcd")
}

// The ports of each member. No connection goes out from one below 32768.
const clientPort, peerPort = "12379", "12380"

// Host is where a member runs.
type Host struct {
	Addr string // that it listens on, and no other member
	// Enter is a command that starts the member there, such as one that enters a
	// network namespace; nil if it runs beside the test.
	Enter []string
}

// Start starts a cluster of n members on loopback, and returns when it answers.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	hosts := make([]Host, n)
	for i := range hosts {
		hosts[i].Addr = loopback()
	}
	c := StartOn(t, hosts...)
	c.WaitReady()
	return c
}

// StartOn starts a cluster with a member on each host. It does not wait for it.
func StartOn(t testing.TB, hosts ...Host) *Cluster {
	t.Helper()
	c := &Cluster{t: t, program: Program(t)}
	token := filepath.Base(t.TempDir())
	var all, peers []string
	for i, host := range hosts {
		peers = append(peers, "http://"+net.JoinHostPort(host.Addr, peerPort))
		all = append(all, fmt.Sprintf("m%d=%s", i, peers[i]))
	}
	for i, host := range hosts {
		dir := t.TempDir()
		m := &member{client: "http://" + net.JoinHostPort(host.Addr, clientPort)}
		c.members = append(c.members, m)
		m.args = append(slices.Clone(host.Enter), c.program,
			"--name", fmt.Sprint("m", i), "--data-dir", filepath.Join(dir, "data"), "--log-level", "error",
			"--listen-client-urls", m.client, "--advertise-client-urls", m.client,
			"--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
			"--initial-cluster", strings.Join(all, ","), "--initial-cluster-token", token)
		output, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		m.output = output
		c.Restart(i)
		t.Cleanup(func() {
			c.Kill(i)
			output.Close()
		})
	}
	return c
}

// loopback is an address of loopback that nothing else uses. Connections go out from
// 127.0.0.1, so on another address no port is taken by one.
func loopback() string {
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))}).String()
}

// Endpoints are the URLs of the members for clients.
func (c *Cluster) Endpoints() []string {
	urls := make([]string, len(c.members))
	for i, m := range c.members {
		urls[i] = m.client
	}
	return urls
}

// Restart starts a member that does not run.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	m := c.members[i]
	m.cmd = exec.Command(m.args[0], m.args[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = m.output, m.output
	dieTogether(m.cmd)
	if err := m.cmd.Start(); err != nil {
		c.t.Fatalf("start etcd: %v", err)
	}
	m.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		cmd.Wait()
		close(ended)
	}(m.cmd, m.ended)
}

// Kill kills a member, as a power cut would, and waits until it has ended.
func (c *Cluster) Kill(i int) {
	m := c.members[i]
	m.cmd.Process.Kill()
	<-m.ended
}

// WaitReady waits until every member says that the cluster can be used.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i, m := range c.members {
		for !healthy(ctx, m.client) {
			select {
			case <-ctx.Done():
				log, _ := os.ReadFile(m.output.Name())
				c.t.Fatalf("member %d of etcd is not ready:\n%s", i, log)
			case <-m.ended:
				log, _ := os.ReadFile(m.output.Name())
				c.t.Fatalf("member %d of etcd has ended:\n%s", i, log)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

func healthy(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
