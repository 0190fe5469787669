package tftp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a client whose answers are known beforehand: the block numbers of
// acknowledgements, or one of the events below.
type script struct {
	answers []int
	sent    []string // what the sender did, "D1" for block 1, "O" for the OACK
}

const (
	timesOut = -1 - iota
	givesUp
)

func (s *script) send(p []byte) error {
	if opcode(p) == opOAck {
		s.sent = append(s.sent, "O")
	} else {
		s.sent = append(s.sent, fmt.Sprint("D", binary.BigEndian.Uint16(p[2:])))
	}
	return nil
}

func (s *script) receive(p []byte, _ time.Duration) (int, error) {
	if len(s.answers) == 0 {
		return 0, errors.New("the script has ended")
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	s.sent = append(s.sent, "|")
	switch answer {
	case timesOut:
		return 0, os.ErrDeadlineExceeded
	case givesUp:
		return copy(p, errorPacket(3, "disk full")), nil
	}
	return copy(p, binary.BigEndian.AppendUint16([]byte{0, opAck}, uint16(answer))), nil
}

func (s *script) close() {}

func TestWindowSender(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []int
		want    string // packets sent, "|" where an answer was read
		err     error
	}{
		{
			"no loss", []int{0, 4, 8, 10},
			"O | D1 D2 D3 D4 | D5 D6 D7 D8 | D9 D10 |", nil,
		}, {
			"OACK lost", []int{timesOut, 0, 4, 8, 10},
			"O | O | D1 D2 D3 D4 | D5 D6 D7 D8 | D9 D10 |", nil,
		}, {
			"gap: the window starts again behind what arrived", []int{0, 2, 6, 10},
			"O | D1 D2 D3 D4 | D3 D4 D5 D6 | D7 D8 D9 D10 |", nil,
		}, {
			"gap before the first block", []int{0, 4, 4, 8, 10},
			"O | D1 D2 D3 D4 | D5 D6 D7 D8 | D5 D6 D7 D8 | D9 D10 |", nil,
		}, {
			"echoes of a repeated window are not answered", []int{0, 4, timesOut, 8, 8, 8, 10},
			"O | D1 D2 D3 D4 | D5 D6 D7 D8 | D5 D6 D7 D8 | D9 D10 | | |", nil,
		}, {
			"a window after the echoes, gaps are believed again", []int{timesOut, 0, 4, 4, 8, 8, 10},
			"O | O | D1 D2 D3 D4 | D5 D6 D7 D8 | D5 D6 D7 D8 | D9 D10 | |", nil,
		}, {
			"acknowledgements of old and of future blocks", []int{0, 900, 4, 2, 65535, 8, 10},
			"O | D1 D2 D3 D4 | | D5 D6 D7 D8 | | | D9 D10 |", nil,
		}, {
			"client gives up", []int{0, 4, givesUp},
			"O | D1 D2 D3 D4 | D5 D6 D7 D8 |", &clientError{3, "disk full"},
		}, {
			"client goes silent", []int{0, timesOut, timesOut, timesOut},
			"O | D1 D2 D3 D4 | D1 D2 D3 D4 | D1 D2 D3 D4 |", errSilent,
		}, {
			"last acknowledgement lost", []int{0, 4, 8, timesOut, timesOut, timesOut},
			"O | D1 D2 D3 D4 | D5 D6 D7 D8 | D9 D10 | D9 D10 | D9 D10 |", ErrLastAck,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := &script{answers: test.answers}
			s := &sender{conn: conn, request: request{blksize: 8, window: 4}, timeout: time.Hour, retries: 2}
			_, err := s.send(bytes.NewReader(content(9*8+3)), 9*8+3)
			if got := strings.Join(conn.sent, " "); got != test.want {
				t.Errorf("sent %s\nwant %s", got, test.want)
			}
			if fmt.Sprint(err) != fmt.Sprint(test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
		})
	}
}

// TestRepeatedAcknowledgementsAreNotAnswered is RFC 1123 section 4.2.3.1, the
// "sorcerer's apprentice": in lock-step, a block is not sent again because the
// one before it was acknowledged again, or traffic would stay doubled.
func TestRepeatedAcknowledgementsAreNotAnswered(t *testing.T) {
	for name, r := range map[string]request{
		"no window": {blksize: 8}, "window of 1": {blksize: 8, window: 1},
	} {
		conn := &script{answers: []int{0, 0, 1, 1, 0, 1, timesOut, 2, 2, 1, 3}}
		s := &sender{conn: conn, request: r, timeout: time.Hour, retries: 2}
		sent, err := s.send(bytes.NewReader(content(20)), 20)
		want := "O | D1 | | D2 | | | | D2 | D3 | | |"
		if got := strings.Join(conn.sent, " "); got != want || sent != 20 || err != nil {
			t.Errorf("%s: sent %s (%d bytes, %v)\nwant %s", name, got, sent, err, want)
		}
	}
}

// TestWaitsFollowTheClient: repetitions come soon on a network that answers
// soon, and late where a client is slow, but never after longer than the
// timeout.
func TestWaitsFollowTheClient(t *testing.T) {
	for answer, want := range map[time.Duration]time.Duration{
		50 * time.Microsecond:  minTimeout,
		90 * time.Millisecond:  minTimeout,
		150 * time.Millisecond: 2 * minTimeout,
		700 * time.Millisecond: 8 * minTimeout,
		5 * time.Second:        time.Second,
	} {
		var r roundTrip
		if got := r.timeout(time.Second); got != time.Second {
			t.Errorf("before any answer: waits %v, want the timeout", got)
		}
		for range 50 {
			r.observe(answer)
		}
		if got := r.timeout(time.Second); got != want {
			t.Errorf("answers after %v: waits %v, want %v", answer, got, want)
		}
	}
}

func TestFileOfWholeBlocksEndsWithAnEmptyOne(t *testing.T) {
	conn := &script{answers: []int{0, 3}}
	s := &sender{conn: conn, request: request{blksize: 8, window: 4}, timeout: time.Hour}
	sent, err := s.send(bytes.NewReader(content(16)), 16)
	if want := []string{"O", "|", "D1", "D2", "D3", "|"}; err != nil || sent != 16 || !slices.Equal(conn.sent, want) {
		t.Errorf("sent %v, %d bytes, error %v; want %v", conn.sent, sent, err, want)
	}
}

// TestBlockNumbersRollOver sends more blocks than there are numbers, with
// windows and without.
func TestBlockNumbersRollOver(t *testing.T) {
	windowed, lockstep := content(8*(1<<16+100)+5), content(512*(1<<16+100)+5)
	r := start(t, Server{FS: files(map[string][]byte{"windowed": windowed, "lockstep": lockstep})})
	c := newClient(t, r.addr)
	if got := c.fetch(time.Second, "windowed", 32, 8, "blksize", "8", "windowsize", "32"); !bytes.Equal(got, windowed) {
		t.Errorf("windowed: got %d bytes that are not the file's %d", len(got), len(windowed))
	}
	c = newClient(t, r.addr)
	if got := c.fetch(time.Second, "lockstep", 1, 512); !bytes.Equal(got, lockstep) {
		t.Errorf("lock-step: got %d bytes that are not the file's %d", len(got), len(lockstep))
	}
}
