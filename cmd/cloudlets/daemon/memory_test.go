//go:build linux

package daemon

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/provision"
	"cloudlets/provision/leases"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// perMachine is how many bytes of memory a machine of the site may cost that was
// installed.
const perMachine = 12 << 10

// TestMemoryOfAMachine: what a server keeps in memory about a machine is little. Its
// entry in the DHCP server's table, of some 300 bytes, is not counted: this daemon
// serves no DHCP.
func TestMemoryOfAMachine(t *testing.T) {
	const few, many = 10, 1500
	used := func(machines int) uint64 {
		dir := t.TempDir()
		installedMachines(t, dir, machines)
		d := startDaemon(t, dir)
		for i := range machines {
			mac := fleetMAC(i)
			if state, known := d.tracker.State(mac); !known || state.Installs != 1 || !d.Site.Has(mac) {
				t.Fatalf("machine %d: %+v", i, state)
			}
		}
		d.end() // a reading of the site, or a check in the background, would be counted too
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		runtime.KeepAlive(d)
		return m.HeapAlloc
	}
	base := used(few)
	each := (int64(used(many)) - int64(base)) / (many - few)
	t.Logf("%d bytes for each machine", each)
	if each > perMachine || each < 500 {
		t.Errorf("a machine takes %d bytes of memory, and may take %d", each, perMachine)
	}
}

func fleetMAC(i int) provision.MAC {
	return provision.MAC(fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255))
}

// installedMachines makes a site with machines that have all been installed, with
// the events and facts of a real install.
func installedMachines(t *testing.T, dir string, n int) {
	t.Helper()
	files := filepath.Join(dir, "site", "machines")
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenFile(filepath.Join(dir, "state", store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tr, err := track.NewTracker(s, track.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	var changes []dhcp.LeaseChange
	var events errgroup.Group // of many machines at once, as those share writes to the disk
	events.SetLimit(100)
	for i := range n {
		mac := fleetMAC(i)
		text := fmt.Sprintf(`{"image": "web", "hostname": "node%d", "address": "10.64.%d.%d", "config": {"args": {"role": "a web server", "rack": "r%d"}}}`, i, i>>8, i&255, i/40)
		name := filepath.Join(files, strings.ReplaceAll(string(mac), ":", "-")+".json")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		changes = append(changes, dhcp.LeaseChange{Client: mac.HardwareAddr(), Lease: dhcp.Lease{
			Addr: netip.AddrFrom4([4]byte{10, 64, byte(i >> 8), byte(i)}), MAC: mac.HardwareAddr(), Hostname: fmt.Sprint("node", i), Expires: time.Now().Add(time.Hour)}})
		facts := map[string]string{"product": "PowerEdge R640", "vendor": "Dell Inc.", "serial": fmt.Sprint("SN", i), "uuid": fmt.Sprintf("4c4c4544-0000-1000-8000-%012d", i),
			"cpus": "64", "memory": "256 GiB", "disk": "nvme0n1 (960 GB, S4EWNX0R123456)", "image": "web", "hostname": fmt.Sprint("node", i), "pack": "sha256:" + strings.Repeat("a", 64), "firmware": "UEFI"}
		events.Go(func() error {
			for _, e := range []provision.Event{
				{Kind: provision.KindDHCP, Stage: provision.StageFirmware, Text: "DISCOVER"}, {Kind: provision.KindHTTP, Stage: provision.StageLoader, Text: "snponly.efi"},
				{Kind: provision.KindDecision, Stage: provision.StageKernel, Text: "boots", Facts: facts}, {Kind: provision.KindStage, Stage: provision.StagePartition, Text: "p"},
				{Kind: provision.KindStage, Stage: provision.StageStream, Text: "s"}, {Kind: provision.KindStage, Stage: provision.StageVerify, Text: "v"},
				{Kind: provision.KindStage, Stage: provision.StageBootable, Text: "b"}, {Kind: provision.KindStage, Stage: provision.StageHandover, Text: "h"},
				{Kind: provision.KindDone, Stage: provision.StageInstalled, Text: "done"},
			} {
				e.MAC = mac
				if err := tr.Record(t.Context(), e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := events.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := (leases.Leases{Store: s}).Commit(t.Context(), time.Now(), changes); err != nil {
		t.Fatal(err)
	}
}
