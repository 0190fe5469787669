//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"cloudlets/images/pack"
	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
)

// progressEvery is how often the agent tells how much of the image it has.
const progressEvery = time.Second

// agent is the installer on a machine. It makes the requests of the real one from its claim on,
// by the client of the real one and in its order, and drops what it gets.
type agent struct {
	*machine
	server *client.Client
}

// newAgent starts the agent. Close closes its connections.
func (m *machine) newAgent(from netip.Addr, params wire.Params) (a *agent, close func(), err error) {
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	transport := &http.Transport{DialContext: dialer.DialContext, ResponseHeaderTimeout: 30 * time.Second, MaxIdleConnsPerHost: 4, DisableCompression: true, ReadBufferSize: 16 << 10}
	server, err := client.NewBy(transport, params.Servers, slog.New(noting{slog.DiscardHandler, m.notes}))
	if err != nil {
		return nil, nil, err
	}
	return &agent{machine: m, server: server}, transport.CloseIdleConnections, nil
}

// noting is a log that counts the warnings of a machine's agent, by their texts: that a
// server did not answer, that a file came damaged.
type noting struct {
	slog.Handler // discards
	notes        *notes
}

// Enabled implements [slog.Handler].
func (noting) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements [slog.Handler].
func (n noting) Handle(_ context.Context, r slog.Record) error {
	n.notes.count("agent: " + r.Message)
	return nil
}

// runAgent claims the plan and carries it out.
func (m *machine) runAgent(ctx context.Context, from netip.Addr, params wire.Params) error {
	a, close, err := m.newAgent(from, params)
	if err != nil {
		return err
	}
	defer close()
	began := time.Now()
	plan, err := a.server.Claim(ctx, params, m.inventory())
	if err != nil {
		return err
	}
	m.notes.took("claim", time.Since(began))
	if err := a.carryOut(ctx, plan); err != nil {
		return errors.Join(err, a.report(context.WithoutCancel(ctx), provision.Event{Kind: provision.KindFailed, Stage: provision.StageFailed, Text: err.Error()}))
	}
	return nil
}

const vendor = "fleetsim"

// inventory is what the agent finds in the machine.
func (m *machine) inventory() provision.Inventory {
	return provision.Inventory{
		Arch: "amd64", Vendor: vendor, Product: "simulated", Serial: fmt.Sprint("S", m.number), CPUs: 8, Memory: 32 << 30,
		Disks: []provision.DiskInfo{{Name: "sda", Serial: fmt.Sprint("D", m.number), Size: 500 << 30, Transport: "sata"}},
	}
}

// carryOut makes the requests of an install.
func (a *agent) carryOut(ctx context.Context, plan wire.Plan) error {
	began := time.Now()
	image, err := a.open(ctx, plan.Pack)
	if err != nil {
		return fmt.Errorf("the image: %w", err)
	}
	if _, err := a.open(ctx, plan.Overlay); err != nil {
		return fmt.Errorf("the overlay: %w", err)
	}
	for name, blob := range plan.BootLoaders {
		if _, err := a.server.Fetch(ctx, blob); err != nil {
			return fmt.Errorf("boot loader %s: %w", name, err)
		}
	}
	asks := provision.Event{Kind: provision.KindLog, Text: "asks whether to go on"}
	stage := func(s provision.Stage) provision.Event {
		return provision.Event{Kind: provision.KindStage, Stage: s, Text: "simulated"}
	}
	for _, step := range []func() error{
		func() error { return a.report(ctx, provision.Event{Kind: provision.KindLog, Text: "will write sda"}) },
		func() error { return a.propose(ctx, plan) },
		func() error { return a.report(ctx, stage(provision.StagePartition)) },
		func() error { return a.report(ctx, stage(provision.StageStream)) },
		func() error { return a.stream(ctx, image, plan.Pack.Size) },
		func() error {
			if a.burns {
				return errBurns
			}
			return nil
		},
		func() error {
			return a.report(ctx, stage(provision.StageConfigure), stage(provision.StageVerify), stage(provision.StageBootable))
		},
		func() error { return a.report(ctx, asks) },
		func() error { return a.report(ctx, stage(provision.StageHandover)) },
		func() error {
			return a.report(ctx, provision.Event{Kind: provision.KindDone, Stage: provision.StageInstalled, Text: "the disk is complete"})
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	a.notes.took("install", time.Since(began))
	return nil
}

// propose tells the plan as an agent does, before the first write.
func (a *agent) propose(ctx context.Context, plan wire.Plan) error {
	_, err := a.server.Post(ctx, wire.ProposalPath, wire.ProposalRequest{Proposal: provision.Proposal{
		Disk:  provision.DiskInfo{Name: "sda", Serial: fmt.Sprint("D", a.number), Size: 500 << 30, Transport: "sata"},
		Image: plan.Image, Pack: plan.Pack.Digest, Fetch: plan.Pack.Size + plan.Overlay.Size,
		Layout: []provision.ProposedPartition{{Number: 1, Name: "bios"}, {Number: 2, Name: "esp", Filesystem: "vfat"}, {Number: 3, Name: "root", Filesystem: "ext4"}},
	}})
	return err
}

// open reads a pack's table of contents.
func (a *agent) open(ctx context.Context, blob wire.Blob) (*pack.HTTP, error) {
	source := &pack.HTTP{URL: a.server.Base + blob.Path, Client: a.server.HTTP, Digest: blob.Digest,
		Header: http.Header{"Authorization": {"Bearer " + a.server.Session}}, Retry: pack.Retry{Patience: client.Patience}}
	_, err := pack.Fetch(ctx, source, pack.Ref{Digest: blob.Digest, Size: blob.Size})
	return source, err
}

// stream reads a whole pack, onto a disk that swallows it.
func (a *agent) stream(ctx context.Context, source *pack.HTTP, size int64) error {
	body, err := source.Range(ctx, 0, size)
	if err != nil {
		return err
	}
	defer body.Close()
	began, told := time.Now(), time.Now()
	for done := int64(0); ; {
		n, err := io.CopyN(io.Discard, body, 64<<10)
		done += n
		a.disk += n
		if err == io.EOF || done == size {
			return nil
		}
		if err != nil {
			return err
		}
		if a.rate > 0 {
			due := time.Duration(float64(done) / float64(a.rate) * float64(time.Second))
			if err := pause.For(ctx, due-time.Since(began)); err != nil {
				return err
			}
		}
		if time.Since(told) >= progressEvery {
			told = time.Now()
			p := provision.Event{Kind: provision.KindProgress, Progress: &provision.Progress{Done: done, Total: size, Rate: int64(float64(done) / time.Since(began).Seconds())}}
			if err := a.report(ctx, p); err != nil {
				return err
			}
		}
	}
}

// report sends events.
func (a *agent) report(ctx context.Context, events ...provision.Event) error {
	mac := provision.MAC(a.mac.String())
	for i := range events {
		events[i].MAC, events[i].Time = mac, time.Now().UTC()
	}
	_, err := a.server.Post(ctx, wire.EventsPath, events)
	return err
}
