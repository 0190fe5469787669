package advertise

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
)

const (
	// maxQueued bounds the answers that wait to be sent.
	maxQueued = 256
	// maxPerSecond bounds the answers that are sent in a second. More are
	// dropped: an iPXE asks again.
	maxPerSecond = 500
	// A server asks for routers as a host does: RFC 4861, section 10,
	// MAX_RTR_SOLICITATIONS and RTR_SOLICITATION_INTERVAL.
	maxQuestions     = 3
	betweenQuestions = 4 * time.Second
	// looksAgain is how often a server makes sure that its interface is still
	// the one that it opened.
	looksAgain = 10 * time.Second
)

// write sends the answers that are queued until ctx ends or the socket fails. At
// first it also asks whether a router is there.
func (s *Server) write(ctx context.Context, sock *socket) error {
	ask := time.NewTicker(betweenQuestions)
	defer ask.Stop()
	look := time.NewTicker(looksAgain)
	defer look.Stop()
	var sent perSecond
	asked := 1
	err := sock.ask()
	if err == nil {
		s.told = "" // so that what fails from now on is logged again
	}
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ask.C:
			if asked++; asked >= maxQuestions {
				ask.Stop()
			}
			err = sock.ask()
		case <-look.C:
			err = sock.same()
		case to := <-s.answers:
			if sent.pass(time.Now()) {
				s.advertise(sock, to)
			}
		}
	}
	return fmt.Errorf("send router advertisements on %s: %w", s.iface, err)
}

// ask asks all routers for an advertisement.
func (s *socket) ask() error {
	question := &ndp.RouterSolicitation{}
	if mac := s.iface.HardwareAddr; len(mac) == 6 {
		question.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}}
	}
	return s.conn.WriteTo(question, nil, netip.IPv6LinkLocalAllRouters())
}

// advertise sends one machine the advertisement that says nothing. All of its
// fields are zero: no route, no address, no name server, and no hop limit for what
// the machine sends.
func (s *Server) advertise(sock *socket, to netip.Addr) {
	err := sock.conn.WriteTo(&ndp.RouterAdvertisement{}, nil, to)
	s.log.Debug("router advertisement, so that an iPXE does not wait for a router", "to", to, "error", err)
}

// perSecond counts events within a second.
type perSecond struct {
	since time.Time
	count int
}

// pass says whether an event at the time now may pass.
func (p *perSecond) pass(now time.Time) bool {
	if now.Sub(p.since) >= time.Second {
		*p = perSecond{since: now}
	}
	p.count++
	return p.count <= maxPerSecond
}
