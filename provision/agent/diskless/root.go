package diskless

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"cloudlets/images/bytesize"
	"cloudlets/images/chunks"
	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/nbd"
	"cloudlets/provision/netroot"
	"cloudlets/provision/process1"
	"cloudlets/provision/uplink"
	"cloudlets/provision/wire"
)

// rootOrder is what the process is told that fetches the root of a live machine.
type rootOrder struct {
	Params    wire.Params
	SaidToken string   // see [wire.Live]
	Servers   []string // all that have the root
	Root      wire.Blob
	Chunks    wire.Blob
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
	process1.BoundMemory(rootMemory)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{} // the kernel's log has its own
		}
		return a
	}}))
	// Inits end all processes in the end. Who is still at work then needs the root.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
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
		server.client.HTTP.CloseIdleConnections()
		debug.FreeOSMemory()
	}
	if err := netroot.Serve(ctx, server.disk, server.cache, begun, ended, log); err != nil {
		log.Error("cloudlets: the root is gone", "error", err)
	}
}

// rootServer serves a root.
type rootServer struct {
	order   rootOrder
	client  *client.Client
	network *uplink.Remembered
	// addresses are those of the servers.
	addresses []netip.Addr
	cache     *netroot.Cache
	disk      *nbd.Disk
	log       *slog.Logger

	mu       sync.Mutex
	troubled time.Time // when somebody was last told of trouble
}

// say tells the server, and the kernel's log.
func (s *rootServer) say(ctx context.Context, text string) {
	s.write(text)
	tellLive(ctx, s.client, s.order.Params.MAC, s.order.SaidToken, text, nil, slog.New(slog.DiscardHandler))
}

// maxKernelLine is the length in bytes of the longest line that the kernel's log takes
// (Documentation/ABI/testing/dev-kmsg), with room for what stands before the text.
const maxKernelLine = 900

func (s *rootServer) write(text string) {
	s.log.Warn("cloudlets: " + provision.Cut(text, maxKernelLine))
}

func prepareRoot(ctx context.Context, log *slog.Logger) (*rootServer, error) {
	s := &rootServer{log: log}
	if err := netroot.ReadOrder(&s.order); err != nil {
		return nil, err
	}
	if err := netroot.Survive(); err != nil {
		return nil, err
	}
	// The RAM disk's files are soon gone, so what is in them is read now.
	trust, err := client.ReadTrust(wire.TrustFile, s.order.Params.Servers)
	if err != nil {
		return nil, err
	}
	servers := slices.Concat(s.order.Params.Servers, s.order.Servers)
	if s.client, s.addresses, err = client.NewPinned(ctx, servers, trust, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	text, err := s.client.Fetch(ctx, s.order.Chunks)
	if err != nil {
		return nil, err
	}
	var list chunks.List
	if err := list.UnmarshalBinary(text); err != nil {
		return nil, err
	}
	if list.Length() != s.order.Root.Size {
		return nil, fmt.Errorf("the list of the root's chunks is of %d bytes, and the root has %d", list.Length(), s.order.Root.Size)
	}
	if s.network, err = uplink.Remember(s.order.Interface); err != nil {
		return nil, err
	}
	source := &pack.HTTP{URL: s.client.Base + s.order.Root.Path, Client: s.client.HTTP, Digest: s.order.Root.Digest, Retry: rootRetry}
	pauses := netroot.Pauses{Quiet: s.order.Quiet, Patience: max(s.order.Quiet, readAheadPatience)}
	if s.cache, err = netroot.NewCache(list, source, s.mend, pauses); err != nil {
		return nil, err
	}
	if s.disk, err = nbd.Attach(list.Length()); err != nil {
		return nil, errors.Join(err, s.cache.Close())
	}
	return s, nil
}

// mend does what can be done about a part of the root that could not be fetched. If the
// server's file is damaged, another server may have a sound one. Otherwise the network may
// have been taken away: what should configure it anew may wait for that very part.
func (s *rootServer) mend(failure error) {
	text := "a part of the root cannot be fetched, and whoever needs it waits: " + failure.Error()
	if errors.Is(failure, chunks.ErrDamaged) {
		s.client.LeaveServer(failure)
	} else if changed, err := s.network.Restore(s.addresses); err != nil {
		text += "; " + err.Error()
	} else if changed {
		text += "; the network was configured again as it was"
	}
	if s.mayTell() {
		s.write(text)
	}
}

// troublePause is the least time between two lines about trouble: it may last for days, and
// what began it must stay in the kernel's log.
const troublePause = time.Minute

func (s *rootServer) mayTell() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.troubled) < troublePause {
		return false
	}
	s.troubled = time.Now()
	return true
}
