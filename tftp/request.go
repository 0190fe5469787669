package tftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What RFC 2348 and RFC 7440 allow as values.
const (
	minBlockSize     = 8
	maxBlockSize     = 65464
	defaultBlockSize = 512
	maxWindowSize    = 65535
)

// request is a client's read request (RRQ) with its options. An option is zero
// if the client did not ask for it, or wrote a value that makes no sense.
type request struct {
	name     string // cleaned
	netascii bool
	blksize  int // bytes, 8 to 65464
	window   int // blocks, 1 to 65535
	tsize    bool
}

// errNotRequest means that a packet is not the first of any download. It gets
// no answer.
var errNotRequest = errors.New("not a TFTP request")

// parseRequest reads the first packet of a download. Its error is errNotRequest,
// or a *refusal to send to the client. The name is set even if the request is
// refused, for the log.
func parseRequest(p []byte) (request, error) {
	if op := opcode(p); len(p) > maxRequest || op != opRead && op != opWrite {
		return request{}, errNotRequest
	}
	fields := strings.Split(string(p[2:]), "\x00")
	if len(fields) < 2 || fields[0] == "" {
		return request{}, errNotRequest
	}
	r := request{name: fields[0]}
	if opcode(p) == opWrite {
		return r, refuse(codeViolation, "this server is read-only", "write refused: the server is read-only")
	}
	switch strings.ToLower(fields[1]) {
	case "octet":
	case "netascii":
		r.netascii = true
	default:
		return r, refuse(codeIllegal, "unknown transfer mode", "unknown transfer mode %q: only octet and netascii are known", fields[1])
	}
	name, err := cleanName(r.name)
	if err != nil {
		return r, refuse(codeViolation, errBadName.Error(), "%w", err)
	}
	r.name = name
	r.setOptions(fields[2:])
	return r, nil
}

func refuse(code uint16, text, format string, args ...any) *refusal {
	return &refusal{code, text, fmt.Errorf(format, args...)}
}

// setOptions reads pairs of name and value. Names may be in any case (RFC
// 2347), and the first of two equal names counts. The server declines unknown
// options by leaving them out of its answer.
func (r *request) setOptions(fields []string) {
	seen := make(map[string]bool)
	for ; len(fields) >= 2; fields = fields[2:] {
		option := strings.ToLower(fields[0])
		if seen[option] {
			continue
		}
		seen[option] = true
		switch option {
		case "blksize":
			r.blksize = number(fields[1], minBlockSize, maxBlockSize)
		case "windowsize":
			r.window = number(fields[1], 1, maxWindowSize)
		case "tsize":
			// In netascii the length is not known before the whole file is read.
			r.tsize = !r.netascii
		}
	}
}

// number reads a decimal value, or returns 0 if it is out of bounds.
func number(s string, low, high int) int {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n < uint64(low) || n > uint64(high) {
		return 0
	}
	return int(n)
}

// blockSize is the size of the request's blocks, in bytes.
func (r request) blockSize() int {
	if r.blksize == 0 {
		return defaultBlockSize
	}
	return r.blksize
}

// windowBytes bounds how much of one download is under way at a time, so that
// it fits a receiver's buffer. Linux gives a socket 208 KiB.
const windowBytes = 128 << 10

// negotiated is the request with its options lowered to what the server and
// the path allow: blocks of so many bytes, and windows of so many blocks.
func (r request) negotiated(largestBlock, largestWindow int) request {
	if r.blksize > 0 {
		r.blksize = min(r.blksize, largestBlock)
	}
	if r.window > 0 {
		r.window = min(r.window, largestWindow, max(windowBytes/r.blockSize(), 1))
	}
	return r
}

// optionAck builds the OACK for the options that were asked for, or nil if
// there are none (RFC 2347: then the first block is the answer). It leaves out
// the size of an empty file, as curl takes a tsize of 0 for an error.
func (r request) optionAck(size int64) []byte {
	r.tsize = r.tsize && size > 0
	if !r.tsize && r.blksize == 0 && r.window == 0 {
		return nil
	}
	p := binary.BigEndian.AppendUint16(nil, opOAck)
	if r.tsize {
		p = appendStrings(p, "tsize", strconv.FormatInt(size, 10))
	}
	return r.appendSizes(p)
}

func (r request) appendSizes(p []byte) []byte {
	if r.blksize > 0 {
		p = appendStrings(p, "blksize", strconv.Itoa(r.blksize))
	}
	if r.window > 0 {
		p = appendStrings(p, "windowsize", strconv.Itoa(r.window))
	}
	return p
}

func appendStrings(p []byte, ss ...string) []byte {
	for _, s := range ss {
		p = append(append(p, s...), 0)
	}
	return p
}
