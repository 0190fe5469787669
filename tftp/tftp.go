// Package tftp serves files to firmware over TFTP, read-only, out of an
// [fs.FS]. It knows nothing of what the files are or who may boot.
//
// A file system is the whole policy: what is in it can be had by a plain name,
// and nothing else can. Writes are refused, and no name leads out of it.
//
// Requests arrive at one socket, pass a gate that checks, normalises and
// bounds them, and then go one of two ways. Lock-step transfers, one block and
// one acknowledgement at a time, are sent by github.com/pin/tftp/v3. Those
// that negotiate a window, which that library cannot, are sent by this
// package's own small sender, as are those of a server with a single port.
//
// A request that would exceed a limit is dropped in silence and not answered
// with an error: firmware gives up at an error, but repeats an unanswered
// request after a few seconds, by when there is room again.
//
// Standards: RFC 1350 (the protocol), 2347 (options), 2348 (blksize),
// 2349 (tsize; its timeout option is ignored), 7440 (windowsize).
package tftp

import (
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Defaults of a [Server]'s fields.
const (
	// DefaultMaxWindow is the largest window in blocks.
	DefaultMaxWindow = 64
	// DefaultMaxTransfers is how many transfers run at once.
	DefaultMaxTransfers = 512
	// DefaultMaxPerHost is how many of them one address may have.
	DefaultMaxPerHost = 64
	// DefaultTimeout is how long an acknowledgement is waited for at first.
	DefaultTimeout = time.Second
	// DefaultRetries is how often a datagram is repeated before its
	// transfer is given up.
	DefaultRetries = 5
)

// Server serves files by TFTP. FS and Conn are required; the zero value of
// every other field is a good default.
type Server struct {
	// FS holds exactly the files that may be had. Names are matched as they
	// are, after leading slashes are taken off and backslashes turned over.
	FS fs.FS
	// Conn is where requests arrive: a UDP socket, usually of port 69. If
	// it is bound to an address, transfers are sent from that address too;
	// else from the one that the route to the client has. Serve closes it.
	Conn net.PacketConn
	// Log hears of finished transfers, failures and limits; nil is silence.
	Log *slog.Logger
	// Observe, where given, is called once at the end of every transfer and
	// for every refused request. It may be called by several goroutines at
	// once, and holds one up while it runs.
	Observe func(Transfer)

	// MaxBlockSize bounds the block size in bytes that a client may
	// negotiate. Zero leaves the bound to the MTU of the path: 1468 over
	// Ethernet. Networks inside other networks may want 1400.
	MaxBlockSize int
	// MaxWindow bounds the window that a client may negotiate, in blocks;
	// zero means DefaultMaxWindow.
	MaxWindow int
	// MaxTransfers bounds the transfers at one time; zero means
	// DefaultMaxTransfers.
	MaxTransfers int
	// MaxPerHost bounds the transfers of one address at one time; zero
	// means DefaultMaxPerHost. Raise it where many clients share an
	// address behind NAT.
	MaxPerHost int
	// Timeout is how long an acknowledgement is waited for before a
	// datagram is repeated; zero means DefaultTimeout. With a window, it
	// doubles at each repetition, up to fourfold.
	Timeout time.Duration
	// Retries is how often it is repeated; zero means DefaultRetries.
	Retries int
	// SinglePort sends everything from Conn itself, and not from a fresh
	// port for each transfer as RFC 1350 has it: for servers behind NAT or
	// a firewall that lets only port 69 through. A client's port then has
	// one transfer at a time.
	SinglePort bool
}

// Transfer is the report of one request at its end.
type Transfer struct {
	// Remote is the client.
	Remote netip.AddrPort
	// Name is the file's name in the server's FS, or, where it was refused,
	// the name as the client wrote it.
	Name string
	// Size is the file's length in bytes; 0 where it could not be opened.
	Size int64
	// Bytes is how much of it was sent. The last block may be counted
	// before the client has it.
	Bytes int64
	// Probe says that the client wanted to know the Size and hung up when it
	// did. UEFI firmware does so before each download; it is no failure.
	Probe bool
	// Duration is from the request to the end.
	Duration time.Duration
	// Err is why the transfer failed, or nil. Absent files satisfy
	// errors.Is(Err, fs.ErrNotExist).
	Err error
}
