// Package clock corrects the clock of a machine that is about to be installed, since
// the validity of certificates and the times of files depend on it. It asks NTP
// servers by SNTP (RFC 5905, 14), and if none answers, takes the Date of an HTTP
// response. Start reading at [Clock.Correct].
package clock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/beevik/ntp"
)

const (
	// tolerated is how wrong a clock may be and stays as it is. The Date of HTTP
	// has whole seconds.
	tolerated = 5 * time.Second
	// answerTime is how long a server has to answer.
	answerTime = 2 * time.Second
	// maxServers is how many servers of each kind are asked.
	maxServers = 3
)

// Clock is a machine's clock.
type Clock struct {
	// Now reads the clock.
	Now func() time.Time
	// Step sets the clock.
	Step func(time.Time) error
	Log  *slog.Logger
}

// Correct asks the NTP servers, one after the other, for the time; if none has it,
// it takes the Date of what the servers with these base URLs send by plain HTTP. A
// clock that is more than some seconds wrong is set, and the log says so. Correct
// returns an error if no server has the time, or if the clock cannot be set.
func (c Clock) Correct(ctx context.Context, timeServers []netip.Addr, bases []string) error {
	var failed []error
	for _, server := range timeServers[:min(len(timeServers), maxServers)] {
		offset, err := c.ask(ctx, server)
		if err == nil {
			return c.step(offset, server.String())
		}
		failed = append(failed, err)
	}
	for _, base := range bases[:min(len(bases), maxServers)] {
		if !strings.HasPrefix(base, "http://") {
			failed = append(failed, fmt.Errorf("%s has a certificate, which a clock that may be wrong cannot check", base))
			continue
		}
		offset, err := c.look(ctx, base)
		if err == nil {
			return c.step(offset, base)
		}
		failed = append(failed, err)
	}
	none := errors.New("no server says what time it is; name one by DHCP, as option 42 or DHCPv6 option 56")
	return errors.Join(append([]error{none}, failed...)...)
}

// ask returns how far the clock is behind an NTP server's.
func (c Clock) ask(ctx context.Context, server netip.Addr) (time.Duration, error) {
	answer, err := ntp.QueryWithOptions(server.String(), ntp.QueryOptions{
		Timeout: answerTime, GetSystemTime: c.Now,
		Dialer: func(_, remote string) (net.Conn, error) {
			return (&net.Dialer{Timeout: answerTime}).DialContext(ctx, "udp", remote)
		},
	})
	if err == nil {
		err = answer.Validate()
	}
	if err != nil {
		return 0, fmt.Errorf("ask the NTP server %s: %w", server, err)
	}
	return answer.ClockOffset, nil
}

// look returns how far the clock is behind an HTTP server's (RFC 9110, 6.6.1).
func (c Clock) look(ctx context.Context, base string) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, base, nil)
	if err != nil {
		return 0, fmt.Errorf("ask %s for the time: %w", base, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, fmt.Errorf("ask %s for the time: %w", base, err)
	}
	_ = response.Body.Close() // HEAD has none
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("ask %s for the time: its response has no date: %w", base, err)
	}
	return date.Sub(c.Now()), nil
}

// step sets the clock if it is more than tolerated wrong.
func (c Clock) step(offset time.Duration, by string) error {
	if offset.Abs() <= tolerated {
		return nil
	}
	before := c.Now()
	now := before.Add(offset)
	if err := c.Step(now); err != nil {
		return fmt.Errorf("set the clock to %s: %w", now.UTC().Format(time.RFC3339), err)
	}
	c.Log.Info("the clock was wrong, and is set", "was", before.UTC().Format(time.RFC3339), "is", now.UTC().Format(time.RFC3339), "by", by)
	return nil
}
