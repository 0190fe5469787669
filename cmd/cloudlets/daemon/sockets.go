//go:build linux

package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/cmd/cloudlets/daemon/httpserver"
	v4 "cloudlets/dhcp/v4"
	"cloudlets/httpboot"
	"cloudlets/tftp"
)

// server is a task with its sockets, which are open before it runs. The task
// closes them at its end. If it never runs, Close does.
type server struct {
	task
	io.Closer
}

// newServer serves HTTP on a listener.
func newServer(name string, l net.Listener, s *http.Server) *server {
	return &server{task{name, func(ctx context.Context) error { return httpserver.Serve(ctx, l, s, httpserver.ShutdownLimit, false) }}, l}
}

// listen opens the sockets of all servers, and returns the tasks that serve
// them. Clients that come before the tasks run wait in the sockets. If one
// socket cannot be opened, listen closes the others.
func (d *Daemon) listen(ctx context.Context) ([]task, error) {
	var tasks []task
	var opened []io.Closer
	for _, open := range []func(context.Context) (*server, error){d.listenSolicitations, d.listenDHCP, d.listenDHCPv6, d.listenTFTP, d.listenHTTP, d.listenHTTPS, d.listenMetadata, d.listenAPI, d.listenPage} {
		s, err := open(ctx)
		if err != nil {
			errs := []error{err}
			for _, o := range opened {
				errs = append(errs, o.Close())
			}
			return nil, errors.Join(errs...)
		}
		if s != nil { // nil means that this server is switched off
			tasks, opened = append(tasks, s.task), append(opened, s)
		}
	}
	return tasks, nil
}

func (d *Daemon) listenDHCP(ctx context.Context) (*server, error) {
	interfaces, relayed := d.dhcpNetworks()
	if len(interfaces) == 0 {
		return nil, nil
	}
	config := &v4.Server{
		Interfaces: interfaces, Relayed: relayed, Booter: d.chain,
		Leases: d.leaseStore(), Observe: d.sawExchange, Log: d.Log,
		Members: d.members.IDs, Watch: d.watcher.Subscribe, MayWait: true, // findPlaces has seen that there is one of either protocol
	}
	l, err := config.Listen(ctx)
	if err != nil {
		return nil, err
	}
	d.dhcp.Store(l)
	return &server{task{"serve DHCP", l.Serve}, l}, nil
}

func (d *Daemon) listenTFTP(ctx context.Context) (*server, error) {
	if d.Settings.TFTP == "off" {
		return nil, nil
	}
	return d.onEachAddress(ctx, "serve TFTP", d.Settings.TFTP, d.openTFTP)
}

// openTFTP opens TFTP's socket at an address.
func (d *Daemon) openTFTP(_ context.Context, at string) (*server, error) {
	conn, err := net.ListenPacket(FamilyOf("udp", at), at)
	if err != nil {
		return nil, fmt.Errorf("serve TFTP: %w (`cloudlets doctor` shows which process has the port)", err)
	}
	s := &tftp.Server{FS: d.chain.BootFiles(ownAddr(at)), Conn: conn, Observe: d.sawTransfer, Log: d.Log,
		SinglePort: d.Settings.TFTPSinglePort, MaxBlockSize: d.Settings.TFTPBlockSize}
	return &server{task{"serve TFTP", s.Serve}, conn}, nil
}

// sawTransfer tells the boot chain of a TFTP transfer.
func (d *Daemon) sawTransfer(t tftp.Transfer) {
	whole := t.Err == nil || errors.Is(t.Err, tftp.ErrLastAck)
	d.chain.SawTransfer(httpboot.Transfer{Remote: t.Remote.Addr(), Name: t.Name, Bytes: t.Bytes, Probe: t.Probe, Whole: whole, Err: t.Err})
}

// listenHTTP serves HTTP boot on all addresses.
func (d *Daemon) listenHTTP(ctx context.Context) (*server, error) {
	return d.listenBoot(ctx, "HTTP boot", d.Settings.HTTP, func(l net.Listener) net.Listener { return d.limited(l, httpserver.Busy) })
}

// listenHTTPS serves the same by HTTPS, with bounds of its own.
func (d *Daemon) listenHTTPS(ctx context.Context) (*server, error) {
	if d.https == nil {
		return nil, nil
	}
	return d.listenBoot(ctx, "HTTPS boot", d.https.listen, func(l net.Listener) net.Listener {
		return tls.NewListener(d.limited(l, ""), d.https.config)
	})
}

// listenBoot serves the boot chain on all addresses with one server, whose bounds
// hold for all of them. what names it. bound bounds the connections.
func (d *Daemon) listenBoot(ctx context.Context, what, listen string, bound func(net.Listener) net.Listener) (*server, error) {
	joined := newJoined()
	listeners, err := d.onEachAddress(ctx, "listen for "+what, listen, func(ctx context.Context, at string) (*server, error) {
		var config net.ListenConfig
		l, err := config.Listen(ctx, FamilyOf("tcp", at), at)
		if err != nil {
			return nil, fmt.Errorf("serve %s: %w (`cloudlets doctor` shows which process has the port)", what, err)
		}
		return &server{task{"listen for " + what, func(ctx context.Context) error { return joined.accept(ctx, l) }}, l}, nil
	})
	if err != nil {
		return nil, err
	}
	serve := func(ctx context.Context) error {
		return httpserver.Serve(ctx, bound(joined), httpserver.New(d.chain.Handler(), d.Log), httpserver.ShutdownLimit, true)
	}
	run := func(ctx context.Context) error {
		both, ctx := errgroup.WithContext(ctx)
		both.Go(func() error { return serve(ctx) })
		both.Go(func() error { return listeners.run(ctx) })
		return both.Wait()
	}
	return &server{task{"serve " + what, run}, listeners}, nil
}

// limited bounds the connections of a listener that anyone can reach. One that is too
// many gets an answer.
func (d *Daemon) limited(l net.Listener, answer string) net.Listener {
	return httpserver.Limit(l, httpserver.Limits{Answer: answer, Total: httpserver.MaxConnections, PerSource: httpserver.MaxPerSource, Write: httpserver.WriteTimeout, Known: d.chain.KnowsHost, Refused: func(source netip.Addr) {
		if d.refused.Pass(time.Now()) {
			d.Log.Warn("too many connections are open, so some are refused; this one came from", "address", source, "listening", l.Addr())
		}
	}})
}

// listenAPI opens the socket of the command line, which only root may open.
func (d *Daemon) listenAPI(context.Context) (*server, error) {
	l, err := listenSocket(d.Socket)
	if err != nil {
		return nil, err
	}
	stopping := make(chan struct{})
	api := d.api(stopping)
	api.Backup = d.store.backup
	s := httpserver.New(api.Handler(), d.Log)
	s.RegisterOnShutdown(func() { close(stopping) })
	return newServer("serve the command line", l, s), nil
}

func (d *Daemon) listenPage(ctx context.Context) (*server, error) {
	if d.Web == "" {
		return nil, nil
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", d.Web)
	if err != nil {
		return nil, fmt.Errorf("serve the page: %w", err)
	}
	d.Log.Info("the machines in a browser", "url", "http://"+l.Addr().String()+"/")
	stopping := make(chan struct{})
	s := httpserver.New(d.api(stopping).ReadOnly(), d.Log)
	s.RegisterOnShutdown(func() { close(stopping) })
	return newServer("serve the page", d.limited(l, httpserver.Busy), s), nil
}
