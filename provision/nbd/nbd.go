// Package nbd makes read-only disks that this program serves itself. The kernel's driver
// nbd asks for their bytes over a socket, in the transmission phase of the NBD protocol
// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md). [Attach] makes a
// disk, and [Disk.Serve] answers for it.
//
// This package exists since libraries of the protocol serve it over networks, or attach by
// an ioctl that a signal ends, and the runtime of Go sends signals to its threads.
package nbd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Source has the bytes of a disk.
type Source interface {
	// Bytes returns n bytes from offset on. It may wait as long as it takes to have them:
	// whoever reads the disk waits too. Nobody changes what it returns. It is called by
	// several goroutines.
	Bytes(ctx context.Context, offset int64, n int) ([]byte, error)
}

// BlockSize is the length in bytes of what the kernel reads at least, and the unit of a
// disk's length.
const BlockSize = 4096

// The protocol's numbers, which are big-endian in each message.
const (
	requestMagic = 0x25609513
	replyMagic   = 0x67446698
	requestSize  = 28
	replySize    = 16

	cmdRead       = 0
	cmdDisconnect = 2
	// The kernel's error numbers, as the protocol has them.
	errIO      = 5
	errInvalid = 22
)

const (
	// maxRead is the longest read that is answered, in bytes. The kernel splits those of
	// its readers before.
	maxRead = 32 << 20
	// workers is how many reads are answered at once.
	workers = 16
)

// serve answers the requests that come by a connection, until it is closed or ctx ends. The
// error is nil if the kernel ended it.
func serve(ctx context.Context, conn net.Conn, length int64, from Source) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers + 1)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	a := &answerer{conn: conn, length: length, from: from}
	group.Go(func() error { return a.run(ctx, group) })
	err := group.Wait()
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, errDisconnect) {
		return nil
	}
	return fmt.Errorf("serve a disk to the kernel: %w", err)
}

var errDisconnect = errors.New("the kernel closed the disk")

// answerer answers the requests of one connection.
type answerer struct {
	conn   net.Conn
	length int64
	from   Source
	mu     sync.Mutex // one reply is written at a time
}

func (a *answerer) run(ctx context.Context, group *errgroup.Group) error {
	var head [requestSize]byte
	for {
		if _, err := io.ReadFull(a.conn, head[:]); err != nil {
			return err
		}
		if magic := binary.BigEndian.Uint32(head[:]); magic != requestMagic {
			return fmt.Errorf("a request begins with %#x", magic)
		}
		command, handle := binary.BigEndian.Uint16(head[6:]), [8]byte(head[8:16])
		offset, n := int64(binary.BigEndian.Uint64(head[16:])), int64(binary.BigEndian.Uint32(head[24:]))
		switch {
		case command == cmdDisconnect:
			return errDisconnect
		case command != cmdRead || n > maxRead || offset < 0 || offset > a.length-n:
			if err := a.reply(handle, errInvalid, nil); err != nil {
				return err
			}
		default:
			group.Go(func() error { return a.read(ctx, handle, offset, int(n)) })
		}
	}
}

func (a *answerer) read(ctx context.Context, handle [8]byte, offset int64, n int) error {
	data, err := a.from.Bytes(ctx, offset, n)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return a.reply(handle, errIO, nil)
	}
	return a.reply(handle, 0, data)
}

func (a *answerer) reply(handle [8]byte, code uint32, data []byte) error {
	head := binary.BigEndian.AppendUint32(make([]byte, 0, replySize), replyMagic)
	head = binary.BigEndian.AppendUint32(head, code)
	head = append(head, handle[:]...)
	parts := net.Buffers{head, data}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := parts.WriteTo(a.conn)
	return err
}

// pair returns the two ends of a connection: one to serve, and one for the kernel.
func pair() (conn net.Conn, kernel *os.File, err error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer ours.Close() // FileConn copies it
	if conn, err = net.FileConn(ours); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn, theirs, nil
}
