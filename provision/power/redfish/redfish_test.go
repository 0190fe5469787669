package redfish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/provision/power"
	"cloudlets/testdata/needs"
	bmc "cloudlets/testdata/redfish"
)

// controller is what reaches a service with the right login and certificate.
func controller(s *bmc.Service) *Controller {
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	return New(Config{URL: s.URL, User: bmc.User, Password: power.NewSecret(bmc.Password), TLS: &tls.Config{RootCAs: trusted}})
}

// TestActions: each action reaches the system that is meant, and no other.
func TestActions(t *testing.T) {
	s := bmc.Start(t, "blade1", "blade2")
	c := controller(s)
	c.System = "blade2"
	wantState := func(want power.State) {
		t.Helper()
		if state, err := c.State(t.Context()); err != nil || state != want {
			t.Fatalf("the state is %s (%v), not %s", state, err, want)
		}
	}
	wantState(power.IsOff)
	for _, step := range []struct {
		action power.Action
		state  power.State
	}{
		{power.BootNetwork, power.IsOff}, {power.On, power.IsOn}, {power.Cycle, power.IsOn}, {power.Reset, power.IsOn},
		{power.Shutdown, power.IsOff}, {power.On, power.IsOn}, {power.Off, power.IsOff},
	} {
		if err := c.Do(t.Context(), step.action); err != nil {
			t.Fatal(err)
		}
		wantState(step.state)
	}
	c.HTTPBoot = true
	if err := c.Do(t.Context(), power.BootNetwork); err != nil {
		t.Fatal(err)
	}
	want := []string{"boot Pxe", "On", "PowerCycle", "ForceRestart", "GracefulShutdown", "On", "ForceOff", "boot UefiHttp"}
	if got := s.Said("blade2"); !slices.Equal(got, want) {
		t.Errorf("it was told %q, want %q", got, want)
	}
	if got := s.Said("blade1"); len(got) > 0 {
		t.Errorf("the other was told %q", got)
	}
}

// TestOtherResets: a service that offers fewer types of reset gets the nearest one, and
// what has none is refused.
func TestOtherResets(t *testing.T) {
	s := bmc.Start(t, "1")
	s.ResetTypes = []string{"ForceOn", "ForceRestart", "PushPowerButton"}
	c := controller(s)
	for _, action := range []power.Action{power.On, power.Cycle, power.Shutdown} {
		if err := c.Do(t.Context(), action); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.Said("1"), []string{"ForceOn", "ForceRestart", "PushPowerButton"}; !slices.Equal(got, want) {
		t.Errorf("it was told %q, want %q", got, want)
	}
	if err := c.Do(t.Context(), power.Off); !errors.Is(err, power.ErrUnsupported) || !strings.Contains(err.Error(), "ForceRestart") {
		t.Error(err)
	}
}

// TestProblems: each error says what is wrong, names the service, and keeps the
// password.
func TestProblems(t *testing.T) {
	gone := bmc.Start(t, "1")
	gone.Close()
	for _, test := range []struct {
		name, want string
		service    *bmc.Service
		change     func(*Controller)
	}{
		{"wrong password", "refuses the user or the password", bmc.Start(t, "1"), func(c *Controller) { c.Password = power.NewSecret("another-password") }},
		{"no such system", `it has no system "9", only ["1" "2"]`, bmc.Start(t, "1", "2"), func(c *Controller) { c.System = "9" }},
		{"several systems", `say which is the machine, as "system"`, bmc.Start(t, "1", "2"), func(*Controller) {}},
		{"no system", "it has no systems", bmc.Start(t), func(*Controller) {}},
		{"unreachable", "connection refused", gone, func(*Controller) {}},
		{"unknown certificate", "unknown authority", bmc.Start(t, "1"), func(c *Controller) { c.TLS = &tls.Config{RootCAs: x509.NewCertPool()} }},
	} {
		c := controller(test.service)
		test.change(c)
		err := c.Do(t.Context(), power.On)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.service.URL) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), c.Password.Reveal()) {
			t.Errorf("%s: the error has the password: %v", test.name, err)
		}
	}
}

// TestSlow: a service that does not answer is left when the context ends.
func TestSlow(t *testing.T) {
	s := bmc.Start(t, "1")
	ctx, cancel := context.WithCancelCause(t.Context())
	s.Before = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Systems/1") {
			cancel(context.DeadlineExceeded) // the time is over while it thinks
			<-r.Context().Done()
		}
	}
	if state, err := controller(s).State(ctx); !errors.Is(err, context.Canceled) || state != power.Unknown {
		t.Errorf("%s %v", state, err)
	}
}

// TestOtherHost: the password does not follow a redirection to another host.
func TestOtherHost(t *testing.T) {
	other := bmc.Start(t, "1")
	other.Before = func(r *http.Request) { t.Errorf("the other host was asked for %s", r.URL) }
	front := bmc.Start(t)
	front.Config.Handler = http.RedirectHandler(other.URL+"/redfish/v1/", http.StatusTemporaryRedirect)
	if _, err := controller(front).State(t.Context()); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Error(err)
	}
}

// TestEndless: an answer without an end is not read to its end.
func TestEndless(t *testing.T) {
	s := bmc.Start(t, "1")
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for line := []byte(strings.Repeat(" ", 1<<16)); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	if _, err := controller(s).State(t.Context()); err == nil {
		t.Error("it has a state")
	}
}

// TestForeignClients: the service of these tests is one that OpenStack's and the DMTF's
// own clients can drive, and sees the same as ours.
func TestForeignClients(t *testing.T) {
	needs.File(t, "/usr/lib/python3/dist-packages/sushy/__init__.py", "python3-sushy")
	python, redfishtool := needs.Tool(t, "/usr/bin/python3", "python3"), needs.Tool(t, "redfishtool", "redfishtool")
	s := bmc.Start(t, "1")
	known := filepath.Join(t.TempDir(), "bmc.pem")
	if err := os.WriteFile(known, s.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, python, "testdata/sushy_drive.py", s.URL, known)
	host, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	tool := func(args ...string) string {
		return run(t, redfishtool, append([]string{"-r", host.Host, "-u", bmc.User, "-p", bmc.Password, "-S", "Always", "-A", "Basic", "-n"}, args...)...)
	}
	if err := controller(s).Do(t.Context(), power.BootNetwork); err != nil {
		t.Fatal(err)
	}
	if out := tool("Systems", "-1"); !strings.Contains(out, `"BootSourceOverrideTarget": "Pxe"`) || !strings.Contains(out, `"BootSourceOverrideEnabled": "Once"`) {
		t.Errorf("redfishtool sees %s", out)
	}
	tool("Systems", "-1", "setBootOverride", "Once", "Hdd")
	tool("Systems", "-1", "reset", "On")
	if state, err := controller(s).State(t.Context()); err != nil || state != power.IsOn {
		t.Errorf("the state is %s (%v)", state, err)
	}
	want := []string{"boot Pxe", "On", "GracefulShutdown", "boot Pxe", "boot Hdd", "On"}
	if got := s.Said("1"); !slices.Equal(got, want) {
		t.Errorf("it was told %q, want %q", got, want)
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	// The host's proxies and certificates are not for a controller on loopback.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "BMC_USER=" + bmc.User, "BMC_PASSWORD=" + bmc.Password}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}
