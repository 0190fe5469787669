package tftp

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
)

// Opcodes, RFC 1350 section 5 and RFC 2347.
const (
	opRead  = 1
	opWrite = 2
	opData  = 3
	opAck   = 4
	opError = 5
	opOAck  = 6
)

// Error codes, RFC 1350 and RFC 2347.
const (
	codeUndefined = 0
	codeNotFound  = 1
	codeViolation = 2
	codeIllegal   = 4
	codeOptions   = 8
)

const (
	// headerLen is what comes before the data of a DATA packet.
	headerLen = 4
	// maxRequest is the longest request (RFC 2347), in bytes. The other
	// packets that clients send are shorter.
	maxRequest = 512
	// maxErrorText is how much of a client's error message is kept, in bytes.
	maxErrorText = 128
)

// opcode is a packet's first field, or 0 if the packet is too short for one.
func opcode(p []byte) uint16 {
	if len(p) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(p)
}

// errorPacket builds an ERROR packet.
func errorPacket(code uint16, text string) []byte {
	p := binary.BigEndian.AppendUint16(nil, opError)
	p = binary.BigEndian.AppendUint16(p, code)
	return append(append(p, text...), 0)
}

// clientError is the ERROR packet by which a client ended its download.
type clientError struct {
	code uint16
	text string
}

func (e *clientError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("client ended the transfer with error %d", e.code)
	}
	return fmt.Sprintf("client ended the transfer with error %d: %s", e.code, e.text)
}

// newClientError keeps the printable start of a client's message.
func newClientError(code uint16, text string) *clientError {
	text, _, _ = strings.Cut(text, "\x00")
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, text[:min(len(text), maxErrorText)])
	return &clientError{code, strings.TrimSpace(text)}
}

// parseError reads an ERROR packet. A packet that is cut short ends the
// download all the same.
func parseError(p []byte) *clientError {
	if len(p) < headerLen {
		return &clientError{code: codeUndefined}
	}
	return newClientError(binary.BigEndian.Uint16(p[2:]), string(p[headerLen:]))
}

// refusal is an error together with the ERROR packet for the client. Its code
// and text give away nothing about the server.
type refusal struct {
	code uint16
	text string
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func (r *refusal) packet() []byte { return errorPacket(r.code, r.text) }
