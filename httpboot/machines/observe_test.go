package machines

import (
	"net/netip"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// TestPlainDHCP: a machine of the site that only asks by plain DHCP is seen, once for each
// lease, address and stage, and its renewals are not.
func TestPlainDHCP(t *testing.T) {
	b := newBed(t)
	ask := func(request, reply, addr string, newLease bool) {
		x := dhcp.Exchange{Client: dhcp.Client{MAC: node1.HardwareAddr(), Hostname: "debian"}, Request: request, Reply: reply, NewLease: newLease, Reason: "lease confirmed"}
		x.Addr, _ = netip.ParseAddr(addr)
		b.SawExchange(x)
	}
	events := func() int {
		t.Helper()
		all, err := b.Tracker.Events(t.Context(), node1, 0, 0)
		must(t, err)
		return len(all)
	}
	for i, step := range []struct {
		request, reply, addr string
		newLease             bool
		events               int
	}{
		{"DISCOVER", "OFFER", "10.0.0.7", false, 0},
		{"REQUEST", "ACK", "10.0.0.7", true, 1},
		{"REQUEST", "ACK", "10.0.0.7", false, 1}, // it renews
		{"INFORM", "ACK", "", false, 1},
		{"REQUEST", "ACK", "10.0.0.8", false, 2}, // another server gave it
		{"REQUEST", "ACK", "10.0.0.8", false, 2},
		{"REPLY", "REPLY", "fd77::8", true, 3},
		{"RENEW", "REPLY", "fd77::8", false, 3}, // not the address by which it is known
		{"REQUEST", "ACK", "10.0.0.8", false, 3},
		{"REQUEST", "NAK", "", false, 4},
	} {
		ask(step.request, step.reply, step.addr, step.newLease)
		if got := events(); got != step.events {
			t.Errorf("step %d: %d events, want %d", i, got, step.events)
		}
	}
	state := b.state(node1)
	if state.Stage != provision.StageNew || state.Running != nil || state.Asked.IsZero() || state.Heard.IsZero() || state.Facts["address"] != "10.0.0.8" {
		t.Errorf("the state is %+v", state)
	}
	b.wantTrace(node1, "REQUEST from the system debian: ACK 10.0.0.7: lease confirmed; an operating system asked, and not the firmware")
	// It boots from the network, and is sent to its disk. Then its system asks again.
	b.SawExchange(dhcp.Exchange{Client: dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.OwnIPXE, Firmware: dhcp.BIOS, HTTP: true}, Request: "DISCOVER", Reply: "OFFER"})
	ask("REQUEST", "ACK", "10.0.0.8", false)
	again := b.state(node1).Asked
	if !again.After(state.Asked) {
		t.Error("after a boot its system was not seen")
	}
	ask("REQUEST", "ACK", "10.0.0.8", false)
	if got := b.state(node1).Asked; !got.Equal(again) {
		t.Error("a renewal after a boot was recorded")
	}
}

// BenchmarkPlainDHCP compares a renewal, which costs no event, with a new lease, which does.
// The event's write, which comes later, is not in the figure.
func BenchmarkPlainDHCP(b *testing.B) {
	for name, isNew := range map[string]bool{"renewal": false, "new lease": true} {
		b.Run(name, func(b *testing.B) {
			bed := newBed(b)
			x := dhcp.Exchange{Client: dhcp.Client{MAC: node1.HardwareAddr(), Hostname: "debian"}, Request: "REQUEST", Reply: "ACK", Addr: netip.MustParseAddr("10.0.0.7"), NewLease: true}
			bed.SawExchange(x)
			x.NewLease = isNew
			for b.Loop() {
				bed.SawExchange(x)
			}
		})
	}
}

// TestStageOfFile: what a Raspberry Pi fetches after its firmware begins no stage.
func TestStageOfFile(t *testing.T) {
	for name, want := range map[string]provision.Stage{"9ffefdef/start4.elf": provision.StageLoader, "9ffefdef/cmdline.txt": "", "9ffefdef/vmlinuz": ""} {
		if got := stageOfFile(name); got != want {
			t.Errorf("%s begins the stage %q, want %q", name, got, want)
		}
	}
}
