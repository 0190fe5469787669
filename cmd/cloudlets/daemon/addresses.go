//go:build linux

package daemon

import (
	"context"
	"errors"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// opener opens a socket at an address and returns the server on it.
type opener func(ctx context.Context, at string) (*server, error)

// onAddresses serves the same on each of the server's own addresses, as these come
// and go.
type onAddresses struct {
	d      *Daemon
	listen string // the setting, ":80" for each address
	open   opener
	at     map[string]*server // which were opened and do not run yet
}

// onEachAddress opens a server on each address that there is now. Its task opens and
// closes others while interfaces change.
func (d *Daemon) onEachAddress(ctx context.Context, name, listen string, open opener) (*server, error) {
	o := &onAddresses{d, listen, open, map[string]*server{}}
	for at := range o.wanted() {
		s, err := open(ctx, at)
		switch {
		// An address of IPv6 cannot be used while the kernel looks for another
		// host that has it. Without a carrier that does not end.
		case errors.Is(err, unix.EADDRNOTAVAIL) && at != listen:
			d.Log.Warn("an address of an interface is not served yet", "address", at, "error", err)
		case err != nil:
			return nil, errors.Join(err, o.Close())
		default:
			o.at[at] = s
		}
	}
	return &server{task{name, o.run}, o}, nil
}

// wanted are the addresses to listen on now.
func (o *onAddresses) wanted() map[string]bool {
	all := map[string]bool{}
	for _, own := range o.d.places.addrs() {
		all[OnInterface(own, o.listen)] = true
	}
	return all
}

// Close closes the sockets of servers that never ran.
func (o *onAddresses) Close() error {
	var errs []error
	for _, s := range o.at {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// run serves until ctx ends. A server that ends by itself ends it with its error.
func (o *onAddresses) run(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	stops := map[string]context.CancelFunc{}
	begin := func(at string, s *server) {
		ctx, stop := context.WithCancel(ctx)
		stops[at] = stop
		running.Go(func() error {
			err := s.run(ctx)
			if ctx.Err() == nil && err == nil {
				err = errEnded
			}
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
	for at, s := range o.at {
		begin(at, s)
	}
	said := ""
	running.Go(func() error {
		defer func() {
			for _, stop := range stops {
				stop()
			}
		}()
		o.d.places.changed.Each(ctx, func() {
			wanted := o.wanted()
			for at, stop := range stops {
				if !wanted[at] {
					stop()
					delete(stops, at)
				}
			}
			for at := range wanted {
				if stops[at] != nil {
					continue
				}
				s, err := o.open(ctx, at)
				if err == nil {
					begin(at, s)
				} else if err.Error() != said {
					said = err.Error()
					o.d.Log.Warn("an address of an interface that came is not served yet", "address", at, "error", err)
				}
			}
		})
		return nil
	})
	return running.Wait()
}

// joined is a listener that has the connections of several.
type joined struct {
	conns chan accepted
	ended chan struct{}
	end   sync.Once
}

var _ net.Listener = (*joined)(nil)

// accepted is what Accept of one of the listeners returned.
type accepted struct {
	conn net.Conn
	err  error
}

func newJoined() *joined { return &joined{conns: make(chan accepted), ended: make(chan struct{})} }

// accept takes the connections of a listener until ctx ends, and closes it.
func (j *joined) accept(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		select {
		case j.conns <- accepted{conn, err}: // the HTTP server knows which errors pass
			continue
		case <-j.ended:
		case <-ctx.Done():
		}
		if conn != nil {
			conn.Close()
		}
		return net.ErrClosed
	}
}

// Accept implements [net.Listener].
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.conns:
		return a.conn, a.err
	case <-j.ended:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (j *joined) Close() error {
	j.end.Do(func() { close(j.ended) })
	return nil
}

// Addr implements [net.Listener]. It is no single address.
func (j *joined) Addr() net.Addr { return &net.TCPAddr{} }
