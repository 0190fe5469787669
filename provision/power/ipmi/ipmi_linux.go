// Package ipmi switches a machine by IPMI 2.0 over UDP (RMCP+), which nearly every
// server's management controller speaks.
package ipmi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/command/transport"
	"github.com/bougou/go-ipmi/pkg/types"

	"cloudlets/provision/power"
)

// DefaultPort is the UDP port of IPMI.
const DefaultPort = 623

// One packet is sent so often, with so long a wait for each answer. UDP loses some,
// and controllers are slow.
const (
	attempts   = 4
	answerTime = 2 * time.Second
	// closeTime is how long a controller may take to end a session. If it does not,
	// it ends it by itself a minute later.
	closeTime = 2 * time.Second
)

// Config says how to reach a controller.
type Config struct {
	// Host and Port are those of the controller; Port 0 means [DefaultPort].
	Host     string
	Port     int
	User     string
	Password power.Secret
	// UEFI says that the machine's firmware is UEFI, for a boot from the network.
	// Some controllers boot in the other mode if they are not told.
	UEFI bool
}

// Controller is a management controller. Each call is a session of its own: some
// controllers have room for four, and forget them when they restart.
type Controller struct{ Config }

var _ power.Controller = (*Controller)(nil)

// New makes a controller. It sends nothing yet.
func New(c Config) *Controller {
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	return &Controller{c}
}

// State implements [power.Controller].
func (c *Controller) State(ctx context.Context) (state power.State, err error) {
	err = c.session(ctx, "ask for its power state", func(s *client.Client) error {
		status, err := s.GetChassisStatus(ctx)
		if err != nil {
			return err
		}
		if state = power.IsOff; status.PowerIsOn {
			state = power.IsOn
		}
		return nil
	})
	if err != nil {
		return power.Unknown, err
	}
	return state, nil
}

// controls are the chassis controls (IPMI 2.0, section 28.3) that are the actions.
var controls = map[power.Action]chassis.ChassisControl{
	power.On:       chassis.ChassisControlPowerUp,
	power.Off:      chassis.ChassisControlPowerDown,
	power.Shutdown: chassis.ChassisControlSoftShutdown,
	power.Cycle:    chassis.ChassisControlPowerCycle,
	power.Reset:    chassis.ChassisControlHardReset,
}

// Do implements [power.Controller].
func (c *Controller) Do(ctx context.Context, action power.Action) error {
	return c.session(ctx, string(action), func(s *client.Client) error {
		if action == power.BootNetwork {
			return c.bootNetwork(ctx, s)
		}
		control, known := controls[action]
		if !known {
			return power.Unsupported(action, "use one of on, off, cycle and reset")
		}
		_, err := s.ChassisControl(ctx, control)
		return err
	})
}

// bootNetwork sets the boot flags (IPMI 2.0, section 28.12) for one boot. The
// controller forgets them after a minute, if the machine does not boot until then.
func (c *Controller) bootNetwork(ctx context.Context, s *client.Client) error {
	mode := types.BIOSBootTypeLegacy
	if c.UEFI {
		mode = types.BIOSBootTypeEFI
	}
	return s.SetBootDevice(ctx, types.BootDeviceSelectorForcePXE, mode, false)
}

var _ power.Console = (*Controller)(nil)

// solInstance is the one console that a controller has.
const solInstance = 1

// Join implements [power.Console] by Serial over LAN (IPMI 2.0, section 15).
func (c *Controller) Join(ctx context.Context, ready func() (io.Reader, io.Writer, error)) error {
	return c.session(ctx, "its serial console", func(s *client.Client) error {
		_, err := s.ActivatePayload(ctx, &transport.ActivatePayloadRequest{
			PayloadType: types.PayloadTypeSOL, PayloadInstance: solInstance, EnableEncryption: true, EnableAuthentication: true,
		})
		if err != nil {
			return explainConsole(err)
		}
		defer leave(ctx, s)
		in, out, err := ready()
		if err != nil {
			return err
		}
		return s.SOLStream(ctx, in, out, nil)
	})
}

// explainConsole says what it means that a console was refused.
func explainConsole(err error) error {
	if refused, ok := errors.AsType[*types.ResponseError](err); ok && refused.CompletionCode() == types.CodeActivatePayloadAlreadyActive {
		return errors.New("somebody has it open already, and a controller has one: leave it there, or end that session with `ipmitool sol deactivate`")
	}
	return fmt.Errorf("is Serial over LAN on there, and may the user use it? %w", err)
}

// leave gives the console back, even if ctx has ended.
func leave(ctx context.Context, s *client.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	_, _ = s.DeactivatePayload(ctx, &transport.DeactivatePayloadRequest{PayloadType: types.PayloadTypeSOL, PayloadInstance: solInstance}) // the session's end does so too
}

// suites are the cipher suites that are tried (IPMI 2.0, table 22-20), the best first.
// Nearly every controller has one of them. Others leave out encryption or integrity, or
// use broken ciphers, so no answer of whoever is on the network chooses them.
var suites = []types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3}

// session opens a session, does one thing in it, and ends it.
func (c *Controller) session(ctx context.Context, what string, do func(*client.Client) error) error {
	at := net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	s, err := client.NewClient(bracketed(c.Host), c.Port, c.User, c.Password.Reveal())
	if err != nil {
		return c.Password.Redact(fmt.Errorf("open IPMI session with %s: %w", at, err))
	}
	// Operators may switch, and a controller need not give more than that.
	s = s.WithTimeout(answerTime).WithRetry(attempts - 1).WithCipherSuiteID(suites...).WithMaxPrivilegeLevel(types.PrivilegeLevelOperator)
	if err := s.Connect(ctx); err != nil {
		drop(s)
		return c.Password.Redact(fmt.Errorf("open IPMI session with %s as %s: %w", at, c.User, explain(ctx, err)), context.DeadlineExceeded, context.Canceled)
	}
	defer end(ctx, s)
	err = do(s)
	if err == nil || errors.Is(err, power.ErrUnsupported) {
		return err
	}
	return c.Password.Redact(fmt.Errorf("IPMI controller %s: %s: %w", at, what, err), context.DeadlineExceeded, context.Canceled)
}

// bracketed is a host as the library wants it, which puts ":" and the port behind it.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// explain says what it means that no session could be opened. The library has one line
// for each cipher suite, and wraps nothing.
func explain(ctx context.Context, err error) error {
	lines := strings.Join(strings.Fields(err.Error()), " ")
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it did not answer in time: %w", ctx.Err())
	case strings.Contains(lines, client.ErrRAKPAuthentication.Error()):
		return errors.New("the password is wrong")
	case strings.Contains(lines, types.RmcpStatusCodeUnauthorizedName.String()):
		return errors.New("the controller does not know the user, or its level is below Operator")
	}
	return fmt.Errorf("is IPMI over LAN on there? %s", lines)
}

// end ends a session, even if ctx has ended.
func end(ctx context.Context, s *client.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	_ = s.WithRetry(0).Close(ctx) // a controller ends sessions that are silent by itself
}

// drop closes the socket of a session that was not opened, and sends nothing.
func drop(s *client.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Close(ctx)
}
