package httpboot

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/wire"
	"cloudlets/testdata/needs"
)

// newOwnerBed is a bed whose node1 starts only what its owner signed, and whose
// server has the owner's key unless that is nil. It returns the certificate's file.
func newOwnerBed(t *testing.T, withKey bool) (b *bed, certificate string) {
	t.Helper()
	b = newBed(t, func(image string) { write(t, filepath.Join(image, "boot/vmlinuz-"+kernelVersion), stubbedKernel()) })
	b.change(node1, func(s *provision.Spec) { s.SecureBoot, s.Handover = provision.ByOwner, provision.Reboot })
	loader, err := bootloader.Assets{}.LoadNamed(t.Context(), bootloader.SystemdAMD64)
	must(t, err)
	write(t, filepath.Join(b.dir, "assets", bootloader.SystemdAMD64), loader[bootloader.SystemdAMD64])
	if !withKey {
		return b, ""
	}
	key, certificate := filepath.Join(b.dir, "owner.key"), filepath.Join(b.dir, "owner.pem")
	out, err := exec.CommandContext(t.Context(), needs.Tool(t, "openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
		"-subj", "/CN=the owner", "-keyout", key, "-out", certificate).CombinedOutput()
	if err != nil {
		t.Fatalf("make a key: %v: %s", err, out)
	}
	b.ownerKey = func() (*signing.Key, error) { return signing.ReadKey(key, certificate, time.Now()) }
	b.start(&store.Memory{})
	return b, certificate
}

// stubbedKernel is a kernel that is a UEFI program too.
func stubbedKernel() []byte {
	const at = 0x1000 // of the PE header
	k := []byte(kernel(0x20c, 1))
	clear(k[at : at+0x200])
	copy(k, "MZ")
	binary.LittleEndian.PutUint32(k[0x3c:], at)
	copy(k[at:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(k[at+20:], 240)      // size of the optional header
	binary.LittleEndian.PutUint16(k[at+24:], 0x20b)    // PE32+
	binary.LittleEndian.PutUint32(k[at+24+56:], 1<<20) // size in memory
	binary.LittleEndian.PutUint32(k[at+24+108:], 16)   // data directories
	return k
}

// byHTTP is the firmware of node1, by UEFI HTTP Boot.
func byHTTP() dhcp.Client {
	return dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.HTTPBoot, Firmware: dhcp.EFIX64}
}

// wantSigned has sbverify check a program.
func wantSigned(t *testing.T, certificate, program string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), needs.Tool(t, "sbverify", "sbsigntool"), "--cert", certificate, program).CombinedOutput(); err != nil {
		t.Errorf("sbverify: %v: %s", err, out)
	}
}

// answerTo is what an agent is told that asks for its parameters.
func (b *bed) answerTo(mac provision.MAC) (a wire.Answer) {
	b.t.Helper()
	must(b.t, json.Unmarshal([]byte(b.get(wire.ParamsPath(mac)).want(b.t, http.StatusOK).body), &a))
	return a
}

// TestUnified: DHCP names one program, which the owner signed and which has nothing
// of the machine in it. Its agent asks for the rest, and gets the signatures of its
// disk with the plan.
func TestUnified(t *testing.T) {
	b, certificate := newOwnerBed(t, true)
	spec, _ := b.site.Spec(node1)
	_, err := b.Depot.Kit(t.Context(), unifiedKey(&spec, b.Base))
	must(t, err)
	boot := b.Chain.Boot(t.Context(), byHTTP())
	path, ours := strings.CutPrefix(boot.File, b.Base)
	if !ours || !strings.HasSuffix(path, ".efi") {
		t.Fatalf("DHCP answers %+v", boot)
	}
	a := b.get(path).want(t, http.StatusOK, "quiet cloudlets.ask="+b.Base+"\x00")
	if a.ContentLength != int64(len(a.body)) || a.Header.Get("Content-Type") != "application/efi" {
		t.Errorf("the program has %d bytes; the length is said to be %d, and the type %q", len(a.body), a.ContentLength, a.Header.Get("Content-Type"))
	}
	for _, secret := range []string{"cloudlets.token=", string(node1), "console=ttyS0"} {
		if strings.Contains(a.body, secret) {
			t.Errorf("the program of all machines has %q in it", secret)
		}
	}
	file := filepath.Join(t.TempDir(), "program.efi")
	write(t, file, []byte(a.body))
	wantSigned(t, certificate, file)

	told, err := wire.ParseParams(b.answerTo(node1).Cmdline)
	must(t, err)
	if told.MAC != node1 || told.Servers[0] != b.Base {
		t.Errorf("the agent is told %+v", told)
	}
	request := b.request(node1)
	request.Token = b.tokenOf(node1)
	plan := b.claimAs(request)
	if plan.Handover != provision.Reboot || len(plan.Target.Signatures) != 2 || plan.BootLoaders[bootloader.StubAMD64].Size == 0 {
		t.Errorf("the plan is %+v", plan)
	}
	loader, err := os.ReadFile(b.Depot.Path(plan.BootLoaders[bootloader.SystemdAMD64].Digest))
	must(t, err)
	signed, err := plan.Target.Signatures.Sign(t.Context(), uki.Bytes(loader))
	must(t, err)
	r, err := signed.Open()
	must(t, err)
	defer r.Close()
	out, err := os.Create(file)
	must(t, err)
	defer out.Close()
	_, err = out.ReadFrom(r)
	must(t, err)
	wantSigned(t, certificate, file)
	b.wantTrace(node1, "boots kernel "+kernelVersion+" of web to install it")
}

// tokenOf asks as an agent in a signed program does.
func (b *bed) tokenOf(mac provision.MAC) string {
	b.t.Helper()
	p, err := wire.ParseParams(b.answerTo(mac).Cmdline)
	must(b.t, err)
	return p.Token
}

// TestUnifiedLocal: a machine that is not to be installed is named a file that is
// not there, so that its firmware goes on. An agent that runs all the same is told
// to leave, as a stranger's is.
func TestUnifiedLocal(t *testing.T) {
	b, _ := newOwnerBed(t, true)
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = false })
	boot := b.Chain.Boot(t.Context(), byHTTP())
	path, ours := strings.CutPrefix(boot.File, b.Base)
	if !ours {
		t.Fatalf("DHCP answers %+v", boot)
	}
	b.get(path).want(t, http.StatusNotFound)
	b.wantTrace(node1, "was told 404 by HTTP,")
	for _, mac := range []provision.MAC{node1, stranger} {
		if a := b.answerTo(mac); a.Leave == "" || a.Cmdline != "" || a.Again != "" {
			t.Errorf("the agent of %s is told %+v", mac, a)
		}
	}
}

// TestUnifiedWait: an agent whose image is being packed is told to ask again before it
// would give the request up, though the server waits for two things.
func TestUnifiedWait(t *testing.T) {
	b, _ := newOwnerBed(t, true)
	synctest.Test(t, func(t *testing.T) {
		b.Chain.Depot = b.openDepot() // packs nothing, as it does not run
		ask := httptest.NewRequestWithContext(t.Context(), http.MethodGet, wire.ParamsPath(node1), nil)
		ask.SetPathValue("mac", string(node1))
		start, answer := time.Now(), httptest.NewRecorder()
		b.params(answer, ask)
		if took := time.Since(start); took != dialect.AnswerWait || !strings.Contains(answer.Body.String(), `"again"`) {
			t.Errorf("after %s it is told %s, want to ask again after %s", took, answer.Body, dialect.AnswerWait)
		}
	})
}

// TestUnifiedByPXE: a machine that comes by PXE is named nothing that its firmware
// would refuse, and the reason says what to choose.
func TestUnifiedByPXE(t *testing.T) {
	b, _ := newOwnerBed(t, true)
	b.kit(node1)
	client := byHTTP()
	client.Kind = dhcp.PXE
	if boot := b.Chain.Boot(t.Context(), client); boot.File != "" || !strings.Contains(boot.Reason, "UEFI HTTPv4") {
		t.Errorf("DHCP answers %+v", boot)
	}
}

// TestUnifiedWithoutKey: the server has no key. The reason is in DHCP's answer, which
// the trace shows, and in the agent's.
func TestUnifiedWithoutKey(t *testing.T) {
	b, _ := newOwnerBed(t, false)
	spec, _ := b.site.Spec(node1)
	if _, err := b.Depot.Kit(t.Context(), unifiedKey(&spec, b.Base)); err == nil {
		t.Error("a program was made without a key")
	}
	if boot := b.Chain.Boot(t.Context(), byHTTP()); boot.File != "" || !strings.Contains(boot.Reason, "secureBootKey") {
		t.Errorf("DHCP answers %+v", boot)
	}
	if a := b.answerTo(node1); !strings.Contains(a.Leave, "secureBootKey") {
		t.Errorf("an agent is told %+v", a)
	}
	b.wantTrace(node1, "secureBootKey")
}
