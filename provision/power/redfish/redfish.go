// Package redfish switches a machine by Redfish (DMTF DSP0266), which management
// controllers of the last ten years speak over HTTPS.
package redfish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
	schema "github.com/stmcginnis/gofish/redfish"

	"cloudlets/provision/power"
)

const (
	// maxAnswer bounds one answer, in bytes.
	maxAnswer = 1 << 20
	// maxProblem bounds what is repeated of an answer that is an error, in bytes.
	maxProblem  = 300
	connectTime = 10 * time.Second
)

// Config says how to reach a controller, and which of its systems the machine is.
type Config struct {
	// URL is the service's, "https://10.9.0.14". The path is always /redfish/v1/.
	URL      string
	User     string
	Password power.Secret
	// TLS says which certificate the service must show.
	TLS *tls.Config
	// System is the Id of the machine's ComputerSystem, or the last element of its
	// path. "" means the only one that there is.
	System string
	// HTTPBoot says that a boot from the network is one by UEFI HTTP Boot, and not by
	// PXE.
	HTTPBoot bool
}

// Controller is a Redfish service. Requests have basic authentication: sessions are
// few on most controllers, and one that is not ended well stays for half an hour.
type Controller struct{ Config }

var _ power.Controller = (*Controller)(nil)

// New makes a controller. It sends nothing yet.
func New(c Config) *Controller { return &Controller{c} }

// State implements [power.Controller].
func (c *Controller) State(ctx context.Context) (state power.State, err error) {
	err = c.with(ctx, "ask for its power state", func(s *schema.ComputerSystem) error {
		switch s.PowerState {
		case schema.OnPowerState:
			state = power.IsOn
		case schema.OffPowerState:
			state = power.IsOff
		default: // "PoweringOn", "Paused"
			state = power.Unknown
		}
		return nil
	})
	if err != nil {
		return power.Unknown, err
	}
	return state, nil
}

// resets are the types of reset that are an action, the best first. Services offer
// different ones.
var resets = map[power.Action][]schema.ResetType{
	power.On:       {schema.OnResetType, schema.ForceOnResetType},
	power.Off:      {schema.ForceOffResetType},
	power.Shutdown: {schema.GracefulShutdownResetType, schema.PushPowerButtonResetType},
	power.Cycle:    {schema.PowerCycleResetType, schema.ForceRestartResetType},
	power.Reset:    {schema.ForceRestartResetType, schema.PowerCycleResetType},
}

// Do implements [power.Controller].
func (c *Controller) Do(ctx context.Context, action power.Action) error {
	return c.with(ctx, string(action), func(s *schema.ComputerSystem) error {
		if action == power.BootNetwork {
			return c.bootNetwork(s)
		}
		kinds := resets[action]
		if len(kinds) == 0 {
			return power.Unsupported(action, "use one of on, off, cycle and reset")
		}
		if len(s.SupportedResetTypes) == 0 { // it does not say what it can
			return s.Reset(kinds[0])
		}
		for _, kind := range kinds {
			if slices.Contains(s.SupportedResetTypes, kind) {
				return s.Reset(kind)
			}
		}
		return power.Unsupported(action, fmt.Sprintf("it offers only %v", s.SupportedResetTypes))
	})
}

// bootNetwork overrides the boot source for one boot. The mode, UEFI or BIOS, stays
// as it is: some services refuse to be told, or restart to change it.
func (c *Controller) bootNetwork(s *schema.ComputerSystem) error {
	target := schema.PxeBootSourceOverrideTarget
	if c.HTTPBoot {
		target = schema.UefiHTTPBootSourceOverrideTarget
	}
	return s.SetBoot(schema.Boot{BootSourceOverrideEnabled: schema.OnceBootSourceOverrideEnabled, BootSourceOverrideTarget: target})
}

// with connects, finds the machine's system, and does one thing with it.
func (c *Controller) with(ctx context.Context, what string, do func(*schema.ComputerSystem) error) error {
	transport := &http.Transport{
		TLSClientConfig: c.TLS, TLSHandshakeTimeout: connectTime, ResponseHeaderTimeout: time.Minute, DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	err := c.try(ctx, transport, do)
	if err == nil || errors.Is(err, power.ErrUnsupported) {
		return err
	}
	if ctx.Err() != nil { // the library does not wrap it
		err = fmt.Errorf("it did not answer in time: %w", ctx.Err())
	}
	return c.Password.Redact(fmt.Errorf("Redfish service %s: %s: %w", c.URL, what, brief(err)), context.DeadlineExceeded, context.Canceled)
}

func (c *Controller) try(ctx context.Context, transport http.RoundTripper, do func(*schema.ComputerSystem) error) error {
	api, err := gofish.ConnectContext(ctx, gofish.ClientConfig{
		Endpoint: strings.TrimSuffix(c.URL, "/"), Username: c.User, Password: c.Password.Reveal(), BasicAuth: true,
		HTTPClient: &http.Client{Transport: boundedAnswers{transport}, CheckRedirect: sameHost},
	})
	if err != nil {
		return err
	}
	s, err := c.system(api)
	if err != nil {
		return err
	}
	return do(s)
}

// system returns the machine's ComputerSystem.
func (c *Controller) system(api *gofish.APIClient) (*schema.ComputerSystem, error) {
	all, err := api.Service.Systems()
	if err != nil && len(all) == 0 {
		return nil, err
	}
	names := make([]string, len(all))
	for i, s := range all {
		if c.System != "" && (s.ID == c.System || path.Base(s.ODataID) == c.System) {
			return s, nil
		}
		names[i] = s.ID
	}
	slices.Sort(names)
	switch {
	case len(all) == 0:
		return nil, errors.New("it has no systems, or shows none to this user")
	case c.System != "":
		return nil, fmt.Errorf("it has no system %q, only %q: write one of these as \"system\"", c.System, names)
	case len(all) == 1:
		return all[0], nil
	}
	return nil, fmt.Errorf("it has %d systems, %q: say which is the machine, as \"system\"", len(all), names)
}

// sameHost keeps the password from other hosts: a redirect may only change the path.
func sameHost(next *http.Request, before []*http.Request) error {
	if first := before[0].URL; next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return fmt.Errorf("it sends us to another host, %s", next.URL.Host)
	}
	if len(before) >= 5 {
		return errors.New("it redirects without an end")
	}
	return nil
}

// boundedAnswers refuses to read an answer without an end.
type boundedAnswers struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = boundedBody{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

type boundedBody struct {
	io.Reader
	io.Closer
}

// brief shortens an error that has a whole answer in it, and says what the most usual
// ones mean.
func brief(err error) error {
	text := err.Error()
	switch {
	case hasStatus(text, "401"):
		return errors.New("it refuses the user or the password")
	case hasStatus(text, "403"):
		return errors.New("the user may not do that there")
	case len(text) > maxProblem:
		return shortened{strings.ToValidUTF8(text[:maxProblem], "") + "…", err}
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // the URL is said already
	}
	return err
}

// hasStatus says whether the library's text is about an answer with an HTTP status:
// to one request, or to one of those for the members of a collection.
func hasStatus(text, status string) bool {
	return strings.HasPrefix(text, status+": ") || strings.Contains(text, `"error":"`+status+`: `)
}

// shortened is an error with less text.
type shortened struct {
	text string
	err  error
}

func (s shortened) Error() string { return s.text }
func (s shortened) Unwrap() error { return s.err }
