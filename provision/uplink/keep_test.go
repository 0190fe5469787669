package uplink

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// fakeWire answers as the test says, and notes what was asked when.
type fakeWire struct {
	begin  time.Time
	asked  []string
	answer func(rebind bool) error // nil means yes
	lease  time.Duration
	stop   func()
	most   int // requests, until stop is called
}

func (f *fakeWire) note(what string) {
	f.asked = append(f.asked, what+" after "+time.Since(f.begin).String())
	if len(f.asked) >= f.most {
		f.stop()
	}
}

func (f *fakeWire) request(ctx context.Context) (lease4, error) {
	f.note("discover")
	return f.give(), ctx.Err()
}

func (f *fakeWire) extend(_ context.Context, _ lease4, rebind bool) (lease4, error) {
	f.note(map[bool]string{false: "renew", true: "rebind"}[rebind])
	return f.give(), f.answer(rebind)
}

func (f *fakeWire) give() lease4 {
	ack, err := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(10, 0, 0, 9)), dhcpv4.WithLeaseTime(uint32(f.lease.Seconds())))
	if err != nil {
		panic(err)
	}
	return lease4{ack, time.Now()}
}

// fakeHost notes whether the address is used.
type fakeHost struct{ did []string }

func (h *fakeHost) configure(context.Context, lease4) (string, error) {
	h.did = append(h.did, "configure")
	return "10.0.0.9/24", nil
}

func (h *fakeHost) forget() { h.did = append(h.did, "forget") }

func TestLeaseIsExtendedInTimeOrGivenUp(t *testing.T) {
	silent := errors.New("no answer")
	for name, c := range map[string]struct {
		lease  time.Duration
		answer func(rebind bool) error
		asked  []string
		did    []string
		said   string
	}{
		"renewed at half of the lease": {
			time.Minute, func(bool) error { return nil },
			[]string{"renew after 30s", "renew after 1m0s", "renew after 1m30s"}, nil, "",
		},
		"a server that is away: another one extends the lease": {
			time.Hour, func(rebind bool) error {
				if rebind {
					return nil
				}
				return silent
			},
			[]string{"renew after 30m0s", "renew after 41m15s", "renew after 46m52.5s", "renew after 49m41.25s", "renew after 51m5.625s", "renew after 52m5.625s", "rebind after 52m30s"}, nil, "",
		},
		"no server: the address is given up at the end of the lease": {
			time.Minute, func(bool) error { return silent },
			[]string{"renew after 30s", "rebind after 52.5s", "discover after 1m0s"}, []string{"forget", "configure"}, "the address is lost",
		},
		"refused: the address is given up at once": {
			time.Minute, func(bool) error { return errRefused },
			[]string{"renew after 30s", "discover after 30s"}, []string{"forget", "configure"}, "the address is lost",
		},
		"a lease of no time": {
			0, func(bool) error { return nil },
			[]string{"renew after 5s", "renew after 10s"}, nil, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				wire := &fakeWire{begin: time.Now(), answer: c.answer, lease: c.lease, stop: stop, most: len(c.asked)}
				host := &fakeHost{}
				var said bytes.Buffer
				k := keeper[lease4]{name: "eth0", client: wire, host: host, log: slog.New(slog.NewTextHandler(&said, nil))}
				k.keep(ctx, wire.give())
				if !slices.Equal(wire.asked, c.asked) {
					t.Errorf("asked %q\nwant  %q", wire.asked, c.asked)
				}
				if len(host.did) > len(c.did) || !slices.Equal(host.did, c.did[:len(host.did)]) || len(c.did) > 0 && len(host.did) == 0 {
					t.Errorf("did %q, want %q", host.did, c.did)
				}
				if !strings.Contains(said.String(), c.said) {
					t.Errorf("said %s\nand nothing of %q", said.String(), c.said)
				}
			})
		})
	}
}
