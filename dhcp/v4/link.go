package v4

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp/serving"
)

// link is an interface that is served, as it comes and goes. It has a service while
// the interface is there.
type link struct {
	listener *Listener
	config   Interface
	log      *slog.Logger
	seen     linkState // when it was last looked at
	own      netip.Prefix
	service  *service // nil while the interface is not there
	said     string   // why it is not served, as the log has it; "" if it is
}

// linkState is what the system says of an interface.
type linkState struct {
	index int
	addrs []netip.Prefix
}

// Open opens the sockets of the interface as it is now. The error is a [serving.NotThere]
// if that may come to be possible without a person.
func (k *link) Open(ctx context.Context) error {
	s := k.listener.server
	state, err := s.system.look(k.config.Name)
	if err != nil {
		return serving.NotThere(err)
	}
	i, own, err := k.config.resolve(state.addrs)
	if err != nil {
		return err
	}
	k.seen, k.own = state, own
	lan, err := k.listener.attach(ctx, k, i)
	if err != nil {
		return err
	}
	v := &service{server: s, listener: k.listener, iface: i, lan: lan, commits: k.listener.commits, members: s.Members,
		storing: serving.NewRoom(maxStoring), stored: make(chan func(), maxStoring), checking: serving.NewCrew(maxChecking), log: k.log}
	if err := v.open(ctx); err != nil {
		k.listener.detach(k)
		return errors.Join(err, v.close())
	}
	k.service = v
	return nil
}

// run serves the interface until ctx ends, and waits for it while it is not there.
func (k *link) run(ctx context.Context) error {
	return serving.KeepUp(ctx, k, k.listener.server.Watch)
}

// IsOpen implements [serving.Link].
func (k *link) IsOpen() bool { return k.service != nil }

// Serve answers on the interface until ctx ends or the interface changes. An error
// means that a socket cannot be read although nothing has changed.
func (k *link) Serve(ctx context.Context, changed <-chan struct{}) error {
	var change string
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	answering, running := errgroup.WithContext(stopped)
	k.service.start(running, answering)
	answering.Go(func() error {
		for change == "" && serving.Await(running, changed) {
			change = k.look()
		}
		stop()
		return nil
	})
	err := answering.Wait()
	k.service.finish()
	err = errors.Join(err, k.service.close())
	k.service = nil
	if change == "" && err != nil {
		change = k.look() // a socket may say so first
	}
	k.listener.detach(k)
	if change == "" {
		return err
	}
	k.log.Warn("DHCP sockets are closed: "+change+"; they are opened again as soon as it is possible", "error", err)
	return nil
}

// look says what has changed about the interface so that its sockets serve no
// more, or "".
func (k *link) look() string {
	now, err := k.listener.server.system.look(k.config.Name)
	switch {
	case err != nil:
		return "the interface is gone"
	case now.index != k.seen.index:
		return "the interface was made anew"
	case !slices.Contains(now.addrs, k.own):
		return fmt.Sprintf("the interface has no address %s any more", k.own)
	}
	if !slices.Equal(now.addrs, k.seen.addrs) {
		k.seen = now
		k.listener.sawAddresses(k)
	}
	return ""
}

// Say logs, once for each cause, that the interface is not served.
func (k *link) Say(err error) {
	switch {
	case err == nil && k.said != "":
		k.said = ""
	case err != nil && err.Error() != k.said:
		k.said = err.Error()
		k.log.Warn("no DHCP on this interface yet; it is served as soon as that is possible", "reason", k.said)
	}
}
