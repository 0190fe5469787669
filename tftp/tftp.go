// Package tftp serves files to firmware over TFTP, read-only, out of an
// [fs.FS]. It knows nothing of what the files are or who may boot.
//
// The file system is the whole policy. A client can have every file in it by
// a plain name, and nothing else: writes are refused, and no name leads out.
//
// A request takes this way through the package:
//
//	serve.go       one loop reads requests from the socket and starts a goroutine for each download
//	request.go     parses the request and its options, and lowers the options to what fits
//	name.go        turns the many spellings of firmware into one plain name
//	admission.go   bounds the downloads of each client and of all together
//	download.go    opens the file, has it sent, and reports how that went
//	sender.go      sends the blocks, in lock-step or in windows, and repeats what is lost
//	conn.go        carries the datagrams of one download, on a port of its own or on the shared one
//
// The server drops a request that would exceed a limit and does not answer it
// with an error: firmware gives up at an error, but repeats an unanswered
// request after a few seconds, and by then there may be room.
//
// Standards: RFC 1350 (the protocol) with RFC 1123 section 4.2.3.1 (no
// block is sent twice because its predecessor was acknowledged twice), RFC
// 2347 (options), 2348 (blksize), 2349 (tsize; its timeout option is ignored)
// and 7440 (windowsize).
package tftp

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Server serves files by TFTP. FS and Conn are required; the zero value of
// every other field is a good default.
type Server struct {
	// FS holds exactly the files that clients may have. Names are looked up
	// without leading slashes, and with backslashes turned into slashes. It
	// may implement [Asked].
	FS fs.FS
	// Conn is where requests arrive: a UDP socket, usually of port 69. If
	// it is bound to an address, files are sent from that address too;
	// otherwise from the address that the route to the client has. Serve
	// closes it.
	Conn net.PacketConn
	// Log receives finished downloads, failures and limits; nil is silence.
	Log *slog.Logger
	// Observe, if set, is called once at the end of every download and for
	// every refused request. Several goroutines may call it at once. It must
	// not block: a refused request holds up the reading of all others.
	Observe func(Transfer)

	// MaxBlockSize bounds the block size in bytes that a client may
	// negotiate. Zero means the largest that fits the MTU of the path: 1468
	// over Ethernet. Set it to 1400 or so if the path leads through a tunnel
	// that the server's own network card knows nothing of.
	MaxBlockSize int
	// SinglePort sends files from Conn itself, and not from a fresh port
	// for each download as RFC 1350 has it. Use it behind NAT, or behind a
	// firewall that only lets port 69 through. A client's port can then have
	// only one download at a time.
	SinglePort bool

	// limits are the defaults, except in tests.
	limits limits
}

// Asked is an optional interface of a Server's FS, for files that depend on who asks
// or that a client has to wait for. OpenFor is called instead of Open. The client
// repeats its request while it waits, so OpenFor should not take longer than some
// seconds. ctx ends when the server stops.
type Asked interface {
	fs.FS
	OpenFor(ctx context.Context, client netip.Addr, name string) (fs.File, error)
}

// limits bound what clients can make a server do. Zero means the default.
type limits struct {
	window    int           // blocks in one window
	transfers int           // downloads at one time
	perHost   int           // downloads of one address at one time
	timeout   time.Duration // longest first wait for an acknowledgement
	retries   int           // repetitions of a datagram before giving up
}

const (
	defaultWindow    = 64
	defaultTransfers = 512
	// defaultPerHost allows for many clients that share an address behind NAT.
	defaultPerHost = 64
	defaultTimeout = time.Second
	// defaultRetries makes a silent client lose its place after 18 seconds,
	// or after half a minute if it never answered.
	defaultRetries = 8
)

func (l limits) withDefaults() limits {
	l.window = orDefault(l.window, defaultWindow)
	l.transfers = orDefault(l.transfers, defaultTransfers)
	l.perHost = orDefault(l.perHost, defaultPerHost)
	l.timeout = orDefault(l.timeout, defaultTimeout)
	l.retries = orDefault(l.retries, defaultRetries)
	return l
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Transfer reports how one request ended.
type Transfer struct {
	// Remote is the client.
	Remote netip.AddrPort
	// Name is the file's name in the server's FS. If the name was refused,
	// it is the name as the client wrote it.
	Name string
	// Size is the file's length in bytes, or 0 if it could not be opened.
	Size int64
	// Bytes is how much of the file the client has acknowledged. In netascii
	// mode it counts bytes of the translated text.
	Bytes int64
	// Probe is set if the client only wanted to know the Size, and hung up
	// when it did. UEFI firmware does so before each download. It is no
	// failure.
	Probe bool
	// Duration is the time from the request to the end.
	Duration time.Duration
	// Err is why the download failed, or nil. A missing file satisfies
	// errors.Is(Err, fs.ErrNotExist).
	Err error
}
