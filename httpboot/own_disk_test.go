package httpboot

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
	"cloudlets/provision/track"
)

// espGUID is the partition from which the installed machine starts.
const espGUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"

// espBytes are how firmware has it.
const espBytes = "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4"

// newInstalledBed has a machine that was installed, and starts from the given partitions.
func newInstalledBed(t *testing.T, partitions ...string) *bed {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("a server for amd64 alone has the program")
	}
	b := newBed(t, nil)
	plan := b.claim(node1)
	b.report(plan.Session, provision.Event{Kind: provision.KindDone, Report: &provision.Report{BootPartitions: partitions}}).want(t, http.StatusNoContent)
	return b
}

// byPXE is the machine's firmware by PXE.
func byPXE() dhcp.Client {
	c := byHTTP()
	c.Kind = dhcp.PXE
	return c
}

// TestOwnDiskNamed: who gets the program, and what the others get.
func TestOwnDiskNamed(t *testing.T) {
	program := dialect.OwnDisk(node1, "amd64")
	for name, c := range map[string]struct {
		partitions []string
		client     func(*dhcp.Client)
		spec       func(*provision.Spec)
		want       string
	}{
		"UEFI by PXE":            {partitions: []string{espGUID}, want: program},
		"UEFI by HTTP":           {partitions: []string{espGUID}, client: func(c *dhcp.Client) { c.Kind = dhcp.HTTPBoot }, want: "BASE/" + program},
		"the firmware's order":   {partitions: []string{espGUID}, spec: func(s *provision.Spec) { s.Quirks.FirmwareOrder = true }, want: "snponly.efi"},
		"no GUID":                {partitions: []string{"sda1"}, want: "snponly.efi"},
		"an older install":       {want: "snponly.efi"},
		"another processor":      {partitions: []string{espGUID}, client: func(c *dhcp.Client) { c.Firmware = dhcp.EFIIA32 }, want: "snponly-ia32.efi"},
		"BIOS":                   {partitions: []string{espGUID}, client: func(c *dhcp.Client) { c.Firmware = dhcp.BIOS }},
		"an iPXE":                {partitions: []string{espGUID}, client: func(c *dhcp.Client) { c.Kind, c.HTTP = dhcp.IPXE, true }, want: "BASE/boot/" + string(node1) + "/script"},
		"a boot file of its own": {partitions: []string{espGUID}, spec: func(s *provision.Spec) { s.Quirks.BootFile = "ipxe.efi" }, want: "ipxe.efi"},
		"shim":                   {partitions: []string{espGUID}, spec: func(s *provision.Spec) { s.SecureBoot = provision.ByShim }, want: "shimx64.efi"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newInstalledBed(t, c.partitions...)
			client := byPXE()
			if c.client != nil {
				c.client(&client)
			}
			if c.spec != nil {
				b.change(node1, c.spec)
			}
			boot := b.Boot(t.Context(), client)
			if got := strings.Replace(boot.File, b.Base, "BASE", 1); got != c.want {
				t.Errorf("it is named %q, want %q: %s", got, c.want, boot.Reason)
			}
		})
	}
}

// TestOwnDiskByTFTP: asking for the size and reading the program change nothing; once the
// firmware has it, the machine is sent to its disk.
func TestOwnDiskByTFTP(t *testing.T) {
	b := newInstalledBed(t, espGUID)
	b.orderBoot(provision.Boot{Kind: provision.BootLocal})
	boot := b.Boot(t.Context(), byPXE())
	if !strings.Contains(boot.Reason, "its firmware gets a program that starts that disk") {
		t.Errorf("DHCP says %q", boot.Reason)
	}
	name := boot.File
	for range 2 {
		if got := b.tftpFile(loopback, name); !strings.HasPrefix(got, "MZ") || !strings.Contains(got, espBytes) {
			t.Fatalf("%s is %.40q", name, got)
		}
	}
	b.SawTransfer(Transfer{Remote: loopback, Name: name, Probe: true, Whole: true})
	b.SawTransfer(Transfer{Remote: loopback, Name: name, Err: errors.New("the client stopped answering")})
	if b.state(node1).Once == nil {
		t.Fatal("the order is used up before firmware has the program")
	}
	b.SawTransfer(Transfer{Remote: loopback, Name: name, Bytes: 4608, Whole: true, Err: errors.New("the last acknowledgement was lost")})
	if b.state(node1).Once != nil {
		t.Error("the order is still there")
	}
	b.wantTrace(node1, "sent to its own disk", "once, ordered by ann")
	if state := b.state(node1); state.Stage != provision.StageLocal {
		t.Errorf("it is in stage %s", state.Stage)
	}
	if got, err := fetchTFTP(startTFTP(t, b.Chain).at, name); err != nil || !strings.Contains(got, espBytes) {
		t.Errorf("by TFTP it is %.40q: %v", got, err)
	}
}

// TestOwnDiskByHTTP: firmware asks for the size first, as HTTP does it.
func TestOwnDiskByHTTP(t *testing.T) {
	b := newInstalledBed(t, espGUID)
	path, _ := strings.CutPrefix(b.Boot(t.Context(), byHTTP()).File, b.Base)
	head := b.do(http.MethodHead, path, "", nil).want(t, http.StatusOK)
	if strings.Contains(b.trace(node1), "sent to its own disk") {
		t.Error("the machine is sent to its disk by asking for a size")
	}
	b.get(path, "Range", "bytes=0-99").want(t, http.StatusPartialContent, "MZ")
	if strings.Contains(b.trace(node1), "sent to its own disk") {
		t.Error("the machine is sent to its disk by a part of the program")
	}
	a := b.get(path).want(t, http.StatusOK, "MZ", espBytes)
	if a.Header.Get("Content-Type") != "application/efi" || head.ContentLength != int64(len(a.body)) {
		t.Errorf("the program has the type %q and %d bytes; %d were promised", a.Header.Get("Content-Type"), len(a.body), head.ContentLength)
	}
	b.wantTrace(node1, "sent to its own disk")
}

// TestOwnDiskNoMore: an install was armed since DHCP named the program. Firmware is told that
// it is not there, and goes on.
func TestOwnDiskNoMore(t *testing.T) {
	b := newInstalledBed(t, espGUID)
	spec, _ := b.site.Spec(node1)
	must(t, b.Tracker.Arm(t.Context(), node1, &spec, track.Order{By: "anna", Wipe: true}))
	if _, err := b.BootFiles(b.TFTP).Open(dialect.OwnDisk(node1, "amd64")); err == nil || !strings.Contains(err.Error(), "shall not start its own disk") {
		t.Errorf("TFTP: %v", err)
	}
	b.get("/"+dialect.OwnDisk(node1, "amd64")).want(t, http.StatusNotFound, "goes on in its boot order")
	b.wantTrace(node1, "was told 404", "shall not start its own disk now")
	for _, name := range []string{dialect.OwnDisk("", "amd64"), dialect.OwnDisk(node1, "sparc"), dialect.OwnDisk(stranger, "amd64"), dialect.OwnDiskFolder(node1) + "x"} {
		b.get("/"+name).want(t, http.StatusNotFound)
		if _, err := b.BootFiles(b.TFTP).Open(name); err == nil {
			t.Errorf("TFTP serves %s", name)
		}
	}
}

// TestOwnDiskSigned: firmware that starts only what the machines' owner signed gets the
// program signed, by PXE too.
func TestOwnDiskSigned(t *testing.T) {
	b, certificate := newOwnerBed(t, true)
	has := provision.System{ID: "an install", Image: "web", BootPartitions: []string{espGUID}}
	must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindClaim, Stage: provision.StageAgent, System: &has}))
	must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindDone, Report: &provision.Report{BootPartitions: []string{espGUID}}}))
	if boot := b.Boot(t.Context(), byPXE()); boot.File != dialect.OwnDisk(node1, "amd64") {
		t.Errorf("by PXE it is named %+v", boot)
	}
	path, _ := strings.CutPrefix(b.Boot(t.Context(), byHTTP()).File, b.Base)
	program := filepath.Join(t.TempDir(), "program")
	signed := b.get(path).want(t, http.StatusOK, "MZ").body
	must(t, os.WriteFile(program, []byte(signed), 0o600))
	wantSigned(t, certificate, program)
	if again := b.get(path).body; len(b.signed.made) != 1 || again != signed {
		t.Errorf("%d programs were signed for one machine", len(b.signed.made))
	}
	b.wantTrace(node1, "sent to its own disk")
}
