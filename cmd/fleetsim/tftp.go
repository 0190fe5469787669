//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// TFTP's packets (RFC 1350, RFC 2347).
const (
	opRead  = 1
	opData  = 3
	opAck   = 4
	opError = 5
	opOACK  = 6

	tftpPort = 69
	// tftpWait is how long firmware waits for a packet, and tftpTries how often.
	tftpWait  = 4 * time.Second
	tftpTries = 6
	blockSize = 1468
)

var errTFTP = errors.New("TFTP did not answer until the firmware gave up")

// fetchTFTP reads a file as firmware does, block by block. EDK2 asks for its size
// first, and ends that transfer with an error.
func fetchTFTP(ctx context.Context, a *air, from netip.Addr, l lease, probe bool, note *notes) (size int, err error) {
	if probe {
		if _, err := oneTFTP(ctx, a, from, l, true, note); err != nil {
			return 0, err
		}
	}
	return oneTFTP(ctx, a, from, l, false, note)
}

func oneTFTP(ctx context.Context, a *air, from netip.Addr, l lease, probe bool, note *notes) (size int, err error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	if err != nil {
		return 0, fmt.Errorf("open a socket for TFTP: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	t := tftpReader{air: a, conn: conn, to: netip.AddrPortFrom(l.server, tftpPort), last: readRequest(l.file), note: note}
	if err := t.send(); err != nil {
		return 0, err
	}
	for {
		p, err := t.receive()
		if err != nil {
			return size, fmt.Errorf("fetch %s by TFTP from %s: %w", l.file, l.server, err)
		}
		switch op := binary.BigEndian.Uint16(p); {
		case op == opError:
			return size, fmt.Errorf("fetch %s by TFTP from %s: error %d: %s", l.file, l.server, binary.BigEndian.Uint16(p[2:]), bytes.TrimRight(p[4:], "\x00"))
		case op == opOACK && probe:
			t.last = []byte{0, opError, 0, 8, 0}
			return 0, t.send()
		case op == opOACK:
			t.last = []byte{0, opAck, 0, 0}
		case op == opData && binary.BigEndian.Uint16(p[2:]) == t.block+1:
			t.block++
			size += len(p) - 4
			t.last = binary.BigEndian.AppendUint16([]byte{0, opAck}, t.block)
			if len(p)-4 < blockSize {
				return size, t.send()
			}
		case op == opData && binary.BigEndian.Uint16(p[2:]) == t.block:
			// It comes again, as the answer was lost: answer it again.
		default:
			continue
		}
		if err := t.send(); err != nil {
			return size, err
		}
	}
}

func readRequest(file string) []byte {
	b := []byte{0, opRead}
	for _, word := range []string{file, "octet", "tsize", "0", "blksize", strconv.Itoa(blockSize)} {
		b = append(append(b, word...), 0)
	}
	return b
}

// tftpReader is one transfer.
type tftpReader struct {
	air   *air
	conn  *net.UDPConn
	to    netip.AddrPort
	last  []byte // what was sent last
	block uint16
	note  *notes
	buf   [blockSize + 4]byte
}

func (t *tftpReader) send() error {
	if t.air.lost() {
		return nil
	}
	_, err := t.conn.WriteToUDPAddrPort(t.last, t.to)
	return err
}

// receive waits for a packet of the transfer, and repeats its own when none comes.
func (t *tftpReader) receive() ([]byte, error) {
	for range tftpTries {
		until := time.Now().Add(tftpWait)
		if err := t.conn.SetReadDeadline(until); err != nil {
			return nil, err
		}
		for {
			n, from, err := t.conn.ReadFromUDPAddrPort(t.buf[:])
			if err != nil {
				if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
					return nil, err
				}
				break
			}
			if n < 4 || t.air.lost() || from.Addr().Unmap() != t.to.Addr() {
				continue
			}
			t.to = netip.AddrPortFrom(t.to.Addr(), from.Port())
			return t.buf[:n], nil
		}
		t.note.count("TFTP: asked again")
		if err := t.send(); err != nil {
			return nil, err
		}
	}
	return nil, errTFTP
}
