package ipmi

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"cloudlets/provision/power"
	"cloudlets/testdata/ipmi"
)

// TestSimulator: the actions reach a controller that is not ours, and Debian's ipmitool
// sees what they did.
func TestSimulator(t *testing.T) {
	sim := ipmi.Start(t, ipmi.Options{})
	ctx := t.Context()
	c := New(Config{Host: "127.0.0.1", Port: sim.Port, User: ipmi.User, Password: power.NewSecret(ipmi.Password), UEFI: true})
	wantState := func(want power.State) {
		t.Helper()
		state, err := c.State(ctx)
		if err != nil || state != want {
			t.Fatalf("the state is %s (%v), not %s", state, err, want)
		}
		if out := sim.Tool(t, "chassis", "power", "status"); !strings.Contains(out, "Power is "+string(want)) {
			t.Fatalf("ipmitool says %q", out)
		}
	}
	do := func(action power.Action) {
		t.Helper()
		if err := c.Do(ctx, action); err != nil {
			t.Fatal(err)
		}
	}
	wantState(power.IsOff)
	do(power.BootNetwork)
	do(power.On)
	wantState(power.IsOn)
	do(power.Reset)
	do(power.Shutdown)
	wantState(power.IsOff)
	do(power.On)
	do(power.Off)
	wantState(power.IsOff)
	if got, want := strings.Join(sim.Said(), " "), "boot pxe power 1 reset shutdown power 1 power 0"; got != want {
		t.Errorf("the chassis was told %q, want %q", got, want)
	}
}

// TestWrongPassword: the error says what to look at, and not the password. It comes at
// once, since nothing is waited for.
func TestWrongPassword(t *testing.T) {
	sim := ipmi.Start(t, ipmi.Options{})
	for want, wrong := range map[string]Config{
		"the password is wrong": {User: "admin", Password: power.NewSecret("another-password")},
		"not know the user":     {User: "bob", Password: power.NewSecret(ipmi.Password)},
	} {
		wrong.Host, wrong.Port = "127.0.0.1", sim.Port
		err := New(wrong).Do(t.Context(), power.On)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), wrong.Password.Reveal()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if said := sim.Said(); len(said) > 0 {
		t.Errorf("the chassis was told %q", said)
	}
}

// TestIPv6: a controller may have an IPv6 address.
func TestIPv6(t *testing.T) {
	sim := ipmi.Start(t, ipmi.Options{Address: "::1"})
	c := New(Config{Host: "::1", Port: sim.Port, User: ipmi.User, Password: power.NewSecret(ipmi.Password)})
	if state, err := c.State(t.Context()); err != nil || state != power.IsOff {
		t.Errorf("%s %v", state, err)
	}
}

// TestNobody: without an answer the call ends with its context.
func TestNobody(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // as soon as it asked
		_, _, _ = conn.ReadFrom(make([]byte, 1500))
		cancel()
	}()
	c := New(Config{Host: "127.0.0.1", Port: conn.LocalAddr().(*net.UDPAddr).Port, User: "admin", Password: power.NewSecret("x")})
	if state, err := c.State(ctx); !errors.Is(err, context.Canceled) || state != power.Unknown {
		t.Errorf("%s %v", state, err)
	}
}

// TestClosed: a port that nobody listens to is said at once.
func TestClosed(t *testing.T) {
	c := New(Config{Host: "127.0.0.1", Port: ipmi.FreeUDP(t, "127.0.0.1"), User: "admin", Password: power.NewSecret("x")})
	if _, err := c.State(t.Context()); err == nil || !strings.Contains(err.Error(), "is IPMI over LAN on there?") {
		t.Error(err)
	}
}
