package powercut

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Server gives a disk to clients of the NBD protocol, as
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md says it: fixed
// newstyle negotiation and simple replies.
//
// A request is carried out before the next one of the same connection is read. So all
// that a client sent before a flush counts as flushed, and nothing that it sends after
// that: clients that need an order wait for the answer before.
type Server struct {
	disk *Disk
	file string // the socket
	done chan struct{}

	listener net.Listener
	stop     context.CancelFunc
}

// Serve begins to serve a disk on a socket in a folder, see [Socket].
func Serve(disk *Disk, dir string) (*Server, error) {
	listener, err := net.Listen("unix", Socket(dir))
	if err != nil {
		return nil, fmt.Errorf("serve a disk: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{disk: disk, file: Socket(dir), done: make(chan struct{}), listener: listener, stop: stop}
	go s.run(ctx)
	return s, nil
}

// URL is what QEMU takes as the disk's file.
func (s *Server) URL() string { return "nbd+unix:///?socket=" + s.file }

// Close ends all connections, and returns when nothing uses the disk any more.
func (s *Server) Close() {
	s.stop()
	_ = s.listener.Close()
	<-s.done
}

func (s *Server) run(ctx context.Context) {
	defer close(s.done)
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // it was closed
		}
		clients.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			defer conn.Close()
			c := client{conn: conn, disk: s.disk}
			if c.negotiate() != nil {
				return
			}
			if err := c.transmit(); errors.Is(err, ErrNoPower) {
				_, _ = io.Copy(io.Discard, conn) // without power nothing answers, and nothing says so
			}
		})
	}
}

// Numbers of the protocol's handshake.
const (
	magicServer      = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption      = 0x49484156454f5054 // "IHAVEOPT"
	magicOptionReply = 0x3e889045565a9

	fixedNewstyle = 1 << 0
	noZeroes      = 1 << 1

	optExportName = 1
	optAbort      = 2
	optList       = 3
	optInfo       = 6
	optGo         = 7

	repAck         = 1
	repServer      = 2
	repInfo        = 3
	repUnsupported = 1<<31 + 1

	infoExport    = 0
	infoBlockSize = 3
)

// Numbers of the protocol's transmission.
const (
	magicRequest = 0x25609513
	magicReply   = 0x67446698

	hasFlags, sendFlush, sendFUA, sendTrim, sendWriteZeroes = 1 << 0, 1 << 2, 1 << 3, 1 << 5, 1 << 6

	exportFlags = hasFlags | sendFlush | sendFUA | sendTrim | sendWriteZeroes

	cmdRead, cmdWrite, cmdDisconnect, cmdFlush, cmdTrim, cmdWriteZeroes = 0, 1, 2, 3, 4, 6

	flagFUA = 1 << 0

	errInvalid = 22
)

const (
	// maxOption and maxData bound what a client sends at once, in bytes. QEMU asks for
	// no more than maxData.
	maxOption = 4096
	maxData   = 32 << 20
)

// client is one connection.
type client struct {
	conn net.Conn
	disk *Disk
	data []byte // of a request; it is used again
}

// read reads numbers of fixed size.
func (c *client) read(numbers ...any) error {
	for _, n := range numbers {
		if err := binary.Read(c.conn, binary.BigEndian, n); err != nil {
			return err
		}
	}
	return nil
}

// send writes numbers and bytes, at once.
func (c *client) send(parts ...any) error {
	var b []byte
	for _, p := range parts {
		var err error
		if b, err = binary.Append(b, binary.BigEndian, p); err != nil {
			return err
		}
	}
	_, err := c.conn.Write(b)
	return err
}

// negotiate returns when the client may use the disk.
func (c *client) negotiate() error {
	var flags uint32
	if err := errors.Join(c.send(uint64(magicServer), uint64(magicOption), uint16(fixedNewstyle|noZeroes)), c.read(&flags)); err != nil {
		return err
	}
	for {
		var magic uint64
		var option, length uint32
		if err := c.read(&magic, &option, &length); err != nil {
			return err
		}
		if magic != magicOption || length > maxOption {
			return fmt.Errorf("an option of NBD has the magic %#x and %d bytes", magic, length)
		}
		if _, err := io.CopyN(io.Discard, c.conn, int64(length)); err != nil { // there is one disk, whatever its name
			return err
		}
		reply := func(kind uint32, parts ...any) error {
			size := 0
			for _, p := range parts {
				size += binary.Size(p)
			}
			return c.send(append([]any{uint64(magicOptionReply), option, kind, uint32(size)}, parts...)...)
		}
		switch option {
		case optExportName:
			rest := make([]byte, 124)
			if flags&noZeroes != 0 {
				rest = nil
			}
			return c.send(uint64(c.disk.Size()), uint16(exportFlags), rest)
		case optGo, optInfo:
			err := errors.Join(
				reply(repInfo, uint16(infoExport), uint64(c.disk.Size()), uint16(exportFlags)),
				reply(repInfo, uint16(infoBlockSize), uint32(Sector), uint32(4096), uint32(maxData)), reply(repAck))
			if err != nil || option == optGo {
				return err
			}
		case optList:
			if err := errors.Join(reply(repServer, uint32(0)), reply(repAck)); err != nil {
				return err
			}
		case optAbort:
			return errors.Join(reply(repAck), io.EOF)
		default:
			if err := reply(repUnsupported); err != nil {
				return err
			}
		}
	}
}

// transmit carries requests out until the client goes, or the power is cut.
func (c *client) transmit() error {
	for {
		var magic, length uint32
		var flags, command uint16
		var cookie, off uint64
		if err := c.read(&magic, &flags, &command, &cookie, &off, &length); err != nil {
			return err
		}
		if magic != magicRequest || length > maxData && (command == cmdRead || command == cmdWrite) {
			return fmt.Errorf("a request of NBD has the magic %#x and %d bytes", magic, length)
		}
		if command == cmdDisconnect {
			return nil
		}
		data, err := c.do(command, flags&flagFUA != 0, int64(off), int64(length))
		if errors.Is(err, ErrNoPower) || errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		code := uint32(0)
		if err != nil {
			code, data = errInvalid, nil
		}
		if err := c.send(uint32(magicReply), code, cookie, data); err != nil {
			return err
		}
	}
}

// do carries one request out, and returns what was read.
func (c *client) do(command uint16, through bool, off, length int64) ([]byte, error) {
	switch command {
	case cmdRead, cmdWrite:
		if int64(cap(c.data)) < length {
			c.data = make([]byte, length)
		}
		data := c.data[:length]
		if command == cmdRead {
			_, err := c.disk.ReadAt(data, off)
			return data, err
		}
		if _, err := io.ReadFull(c.conn, data); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, c.disk.Write(data, off, through)
	case cmdFlush:
		return nil, c.disk.Flush()
	case cmdTrim, cmdWriteZeroes:
		return nil, c.disk.Zero(off, length, through)
	}
	return nil, fmt.Errorf("the command %d is not known", command)
}
