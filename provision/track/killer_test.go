package track_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/provision"
	"cloudlets/provision/leases"
	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	testcluster "cloudlets/testdata/etcd"
)

// busyEnv makes the test binary a server that is busy until it is killed.
const busyEnv = "CLOUDLETS_TEST_BUSY"

func TestMain(m *testing.M) {
	if where := os.Getenv(busyEnv); where != "" {
		fmt.Fprintln(os.Stderr, busy(where))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const busyMachines = 6

func busyMachine(i int) provision.MAC {
	return provision.MAC(fmt.Sprintf("52:54:00:00:01:%02x", i))
}

// busy installs machines over and over, and gives them leases. It prints a line
// after each step, as a server would answer then.
func busy(where string) error {
	s, err := openAt(where)
	if err != nil {
		return err
	}
	tr, err := track.NewTracker(s, track.Options{})
	if err != nil {
		return err
	}
	k := tickets.New(s, nil)
	go tr.Run(context.Background())
	ended := make(chan error)
	for i := range busyMachines {
		go func() { ended <- busyWith(tr, k, leases.Leases{Store: s}, i) }()
	}
	return <-ended
}

func busyWith(tr *track.Tracker, k *tickets.Tickets, kept leases.Leases, i int) error {
	ctx, mac := context.Background(), busyMachine(i)
	said := func(what string) { fmt.Printf("%s %d\n", what, i) } // one write
	for n := 0; ; n++ {
		state, _ := tr.State(mac)
		if !state.Armed {
			if err := tr.Arm(ctx, mac, &provision.Spec{MAC: mac, Image: "web"}, track.Order{By: "ann"}); err != nil {
				return err
			}
			said("armed")
		}
		lease := dhcp.Lease{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i), byte(n)}), MAC: mac.HardwareAddr(), Expires: time.Now().Add(time.Hour)}
		if _, err := kept.Commit(ctx, time.Now(), []dhcp.LeaseChange{{Lease: lease, Client: lease.MAC}}); err != nil {
			return err
		}
		said("lease " + lease.Addr.String())
		_ = tr.Observe(provision.Event{MAC: mac, Kind: provision.KindDHCP, Text: fmt.Sprint("REQUEST ", n)})
		token, err := k.Issue(ctx, mac)
		if err != nil {
			return err
		}
		session, err := k.Claim(ctx, token, tickets.Claimant{Nonce: fmt.Sprint(os.Getpid(), n)})
		if err != nil {
			return err
		}
		claimed := provision.Event{MAC: mac, Kind: provision.KindClaim, Stage: provision.StageAgent, Text: "claimed"}
		if err := tr.RecordWith(ctx, claimed, nil, k.Running(session.Secret)); err != nil {
			return err
		}
		done := provision.Event{MAC: mac, Kind: provision.KindDone, Text: "done"}
		if err := tr.RecordWith(ctx, done, nil, k.EndingSession(session.Secret, "done")); err != nil {
			return err
		}
		said("done")
	}
}

// closer is a store that is open.
type closer interface {
	store.Store
	Close() error
}

// openAt opens the store in a file, or in the etcd at some URLs.
func openAt(where string) (closer, error) {
	if urls, is := strings.CutPrefix(where, "etcd:"); is {
		return etcd.Open(context.Background(), etcd.Options{Endpoints: strings.Split(urls, ",")})
	}
	return store.OpenFile(where)
}

// TestServerIsKilled: whenever the server is killed, nothing is lost that it had
// answered, and nothing is armed again.
func TestServerIsKilled(t *testing.T) {
	killServers(t, fewKills, filepath.Join(t.TempDir(), "store.db"))
}

func TestServerOnEtcdIsKilled(t *testing.T) { killServersOnEtcd(t, fewKills) }

// fewKills show what always goes wrong. The tests that take long kill often enough for what
// goes wrong at some instants alone.
const fewKills = 5

func killServersOnEtcd(t *testing.T, times int) {
	t.Helper()
	killServers(t, times, "etcd:"+strings.Join(testcluster.Start(t, 1).Endpoints(), ","))
}

func killServers(t *testing.T, times int, where string) {
	t.Helper()
	before := map[provision.MAC]provision.State{}
	for range times {
		said := killOne(t, where)
		s, err := openAt(where)
		if err != nil {
			t.Fatal(err)
		}
		// What the killed server had sent is decided before this.
		if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("test", "last", nil) }); err != nil {
			t.Fatal(err)
		}
		tr := tracker(t, s)
		for i := range busyMachines {
			mac := busyMachine(i)
			after, _ := tr.State(mac)
			checkSurvived(t, mac, before[mac], after, said[i])
			before[mac] = after
		}
		checkLeases(t, leases.Leases{Store: s}, said)
		tr.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killOne starts a busy server, kills it at a random instant, and returns what
// it said of each machine until then.
func killOne(t *testing.T, where string) [busyMachines][]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), busyEnv+"="+where)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said [busyMachines][]string
	var once sync.Once
	var kill *time.Timer
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		once.Do(func() { kill = time.AfterFunc(rand.N(80*time.Millisecond), func() { cmd.Process.Kill() }) })
		words := strings.Fields(lines.Text())
		var i int
		if _, err := fmt.Sscan(words[len(words)-1], &i); err != nil {
			t.Errorf("the server says %q", lines.Text())
			continue
		}
		said[i] = append(said[i], strings.Join(words[:len(words)-1], " "))
	}
	if kill == nil {
		cmd.Process.Kill()
		t.Error("the server did nothing")
	}
	cmd.Wait() // it was killed
	return said
}

// checkSurvived compares a machine's state with what the server said. One step
// more may have been stored, whose answer the kill prevented.
func checkSurvived(t *testing.T, mac provision.MAC, before, after provision.State, said []string) {
	t.Helper()
	done, armed := 0, before.Armed
	for _, step := range said {
		switch step {
		case "armed":
			armed = true
		case "done":
			done, armed = done+1, false
		}
	}
	more := after.Installs - before.Installs - done
	switch {
	case more < 0:
		t.Errorf("%s: %d installs are done, and %d were said to be", mac, after.Installs-before.Installs, done)
	case more > 1:
		t.Errorf("%s: %d installs are done that nobody was told of", mac, more)
	case more == 0 && armed && !after.Armed:
		t.Errorf("%s: its arming is lost", mac)
	case more == 1 && (!armed || after.Armed):
		t.Errorf("%s: done, and armed again: %+v", mac, after)
	}
}

func checkLeases(t *testing.T, kept leases.Leases, said [busyMachines][]string) {
	t.Helper()
	var all []dhcp.Lease
	stop, err := kept.Follow(t.Context(), func(leases []dhcp.Lease, _ bool) { all = leases })
	if err != nil {
		t.Fatal(err)
	}
	stop()
	owner := map[string]string{}
	for _, l := range all {
		owner[l.Addr.String()] = l.MAC.String()
	}
	for i, steps := range said {
		for _, step := range steps {
			if addr, ok := strings.CutPrefix(step, "lease "); ok && owner[addr] != string(busyMachine(i)) {
				t.Errorf("the lease of %s to %s is lost: %q has it", addr, busyMachine(i), owner[addr])
			}
		}
	}
}
