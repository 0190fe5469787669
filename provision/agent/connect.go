package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/clock"
	"cloudlets/provision/hardware"
	"cloudlets/provision/process1"
	"cloudlets/provision/uplink"
	"cloudlets/provision/wire"
)

const (
	// cardPatience is how long one card tries to get an address, if others may be
	// the one that the machine booted from.
	cardPatience = 20 * time.Second
	// contactPatience is how long a server may give no answer at all by one card, if
	// others may be the one that leads to it. Once it has answered, it has as long as
	// with any other request.
	contactPatience = time.Minute
	// leavePause is how long a person can read why the machine is not installed.
	leavePause = 10 * time.Second
)

// connect brings up the interface that the machine booted from. If the command line
// is the same for all machines, it finds the interface and the other parameters by
// asking the server.
func connect(ctx context.Context, console *console, params wire.Params, load func(context.Context) (int, error), log *slog.Logger) (*uplink.Link, wire.Params, error) {
	if params.Ask == "" {
		link, err := uplink.Up(ctx, uplinkOptions(params.MAC, params.Servers, load, log))
		if err == nil {
			correctClock(ctx, link, params.Servers, log)
		}
		return link, params, err
	}
	link, told, err := introduce(ctx, params.Ask, load, log)
	if _, no := errors.AsType[client.Leave](err); no {
		console.say("%s; back to the firmware", err)
		_ = pause.For(ctx, leavePause)
		err = errors.Join(err, process1.Reboot())
	}
	return link, told, err
}

// uplinkOptions say how to bring up a card that shall reach some servers.
func uplinkOptions(card provision.MAC, servers []string, load func(context.Context) (int, error), log *slog.Logger) uplink.Options {
	return uplink.Options{
		MAC: card, UUID: hardware.Attribute(os.DirFS("/sys"), "class/dmi/id/product_uuid"), Servers: servers,
		Resolver: "/etc/resolv.conf", LoadDrivers: load, Log: log,
	}
}

// correctClock sets the clock by the network's time servers, or else by the boot servers.
func correctClock(ctx context.Context, link *uplink.Link, servers []string, log *slog.Logger) {
	wall := clock.Clock{Now: time.Now, Step: clock.Step, Log: log}
	if err := wall.Correct(ctx, link.TimeServers(), servers); err != nil {
		log.Warn("the clock stays as it is", "error", err)
	}
}

// introduce finds the network card that the machine shall be installed by, and the
// parameters of the install. Nothing tells a kernel from which card its firmware fetched
// it, so it asks the server at base about each. The server's address is in the signed
// command line, so no DHCP server can name another one.
func introduce(ctx context.Context, base string, load func(context.Context) (int, error), log *slog.Logger) (*uplink.Link, wire.Params, error) {
	trust, err := client.ReadTrust(wire.TrustFile, []string{base})
	if err != nil {
		return nil, wire.Params{}, err
	}
	link, told, err := search{
		cards: func(ctx context.Context) (ready, dark []provision.MAC, err error) {
			limited, stop := context.WithTimeout(ctx, uplink.Timeout)
			defer stop()
			return uplink.Cards(limited, load)
		},
		try: func(ctx context.Context, card provision.MAC) (*uplink.Link, wire.Params, error) {
			return introduceCard(ctx, base, trust, card, load, log)
		},
		log: log,
	}.run(ctx)
	if err != nil {
		return nil, wire.Params{}, fmt.Errorf("no network card leads to an install by %s: %w", base, err)
	}
	return link, told, nil
}

// introduceCard brings up one card and asks the server about it. The card is
// switched off again if it is not the one.
func introduceCard(ctx context.Context, base string, trust *x509.Certificate, card provision.MAC, load func(context.Context) (int, error), log *slog.Logger) (*uplink.Link, wire.Params, error) {
	options := uplinkOptions(card, []string{base}, load, log)
	options.Patience = cardPatience
	link, err := uplink.Up(ctx, options)
	if err != nil {
		return nil, wire.Params{}, err
	}
	correctClock(ctx, link, []string{base}, log) // before it looks at a certificate
	server := client.New(base, log)
	server.HTTP, server.Patience = &http.Client{Transport: client.NewTransport(trust)}, contactPatience
	told, err := server.Ask(ctx, card)
	if err != nil {
		link.Down()
		return nil, wire.Params{}, err
	}
	return link, told, nil
}
