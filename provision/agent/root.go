package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"cloudlets/images/bytesize"
	"cloudlets/images/chunks"
	"cloudlets/images/pack"
	"cloudlets/provision/nbd"
	"cloudlets/provision/netroot"
	"cloudlets/provision/uplink"
	"cloudlets/provision/wire"
)

// rootOrder is what the process is told that fetches the root of a live machine.
type rootOrder struct {
	Params  wire.Params
	Servers []string // all that have the root
	Root    wire.Blob
	Chunks  wire.Blob
	// Interface is the one by which the servers are reached.
	Interface string
	// Quiet is that of [netroot.Pauses].
	Quiet time.Duration
}

// rootMemory bounds the memory of that process, in bytes, beside the root itself.
const rootMemory = 32 << 20

// readAheadPatience is after how long the rest of the root is fetched, even if the system
// reads on. It is that of [netroot.Pauses].
const readAheadPatience = 3 * time.Minute

// rootRetry is how long a request for a part of the root goes on before the network is
// looked at.
var rootRetry = pack.Retry{Patience: 10 * time.Second, Stall: 10 * time.Second}

// FetchRoot is the process that fetches the root of a live machine, and serves it to the
// kernel. It ends when the kernel closes the disk.
func FetchRoot() {
	debug.SetMemoryLimit(rootMemory)
	debug.SetGCPercent(gcPercent)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{} // the kernel's log has its own
		}
		return a
	}}))
	ctx := context.Background()
	server, err := prepareRoot(ctx, log)
	if err != nil {
		_ = netroot.Answer("", err)
		return
	}
	defer server.cache.Close()
	if err := netroot.Answer(server.disk.File, nil); err != nil {
		log.Error("cloudlets: nobody waits for the root", "error", err)
		return
	}
	begun := func() {
		server.say(ctx, fmt.Sprintf("its system took %s of the root's %s to start; the rest is read ahead", bytesize.Decimal(server.cache.Fetched()), bytesize.Decimal(server.cache.Length())))
	}
	ended := func() {
		server.say(ctx, fmt.Sprintf("all %s of its root are in memory: it needs no server any more", bytesize.Decimal(server.cache.Length())))
		server.client.http.CloseIdleConnections()
		debug.FreeOSMemory()
	}
	if err := netroot.Serve(ctx, server.disk, server.cache, begun, ended, log); err != nil {
		log.Error("cloudlets: the root is gone", "error", err)
	}
}

// rootServer serves a root.
type rootServer struct {
	params wire.Params
	client *client
	cache  *netroot.Cache
	disk   *nbd.Disk
	log    *slog.Logger
}

// say tells the server, and the kernel's log.
func (s *rootServer) say(ctx context.Context, text string) {
	s.log.Info("cloudlets: " + text)
	tellLive(ctx, s.client, s.params, text, nil, s.log)
}

func prepareRoot(ctx context.Context, log *slog.Logger) (*rootServer, error) {
	var order rootOrder
	if err := netroot.ReadOrder(&order); err != nil {
		return nil, err
	}
	if err := netroot.Survive(); err != nil {
		return nil, err
	}
	// The RAM disk's files are soon gone, so this is read now.
	trust, err := readTrust(wire.TrustFile, order.Params.Servers)
	if err != nil {
		return nil, err
	}
	s := &rootServer{params: order.Params, log: log}
	if s.client, err = newClientOf(order.Params.Servers, trust, log); err != nil {
		return nil, err
	}
	if err := s.client.servers.Add(order.Servers...); err != nil {
		return nil, err
	}
	text, err := s.client.fetch(ctx, order.Chunks)
	if err != nil {
		return nil, err
	}
	var list chunks.List
	if err := list.UnmarshalBinary(text); err != nil {
		return nil, err
	}
	if list.Length() != order.Root.Size {
		return nil, fmt.Errorf("the list of the root's chunks is of %d bytes, and the root has %d", list.Length(), order.Root.Size)
	}
	network, err := uplink.Remember(order.Interface)
	if err != nil {
		return nil, err
	}
	source := &pack.HTTP{URL: strings.TrimSuffix(s.client.base, "/") + order.Root.Path, Client: s.client.http, Digest: order.Root.Digest, Retry: rootRetry}
	if s.cache, err = netroot.NewCache(list, source, func() { restore(network, log) }, netroot.Pauses{Quiet: order.Quiet, Patience: max(order.Quiet, readAheadPatience)}, log); err != nil {
		return nil, err
	}
	if s.disk, err = nbd.Attach(list.Length()); err != nil {
		return nil, err
	}
	return s, nil
}

// restore configures the network again, as far as somebody has taken it away: what should
// configure it anew may wait for a part of the root.
func restore(network *uplink.Remembered, log *slog.Logger) {
	changed, err := network.Restore()
	switch {
	case err != nil:
		log.Warn("cloudlets: the root's server cannot be reached", "error", err)
	case changed:
		log.Warn("cloudlets: the network was configured again as it was, since a part of the root was needed")
	}
}
