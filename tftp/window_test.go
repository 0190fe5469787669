package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a link whose client's answers are known beforehand: an ACK's
// block number, or one of the events below.
type script struct {
	answers []int
	sent    []string // what the sender did, "D1" for block 1, "O" for the OACK
}

const (
	timesOut = -1 - iota
	givesUp
)

func (s *script) write(p []byte) error {
	if opcode(p) == opOAck {
		s.sent = append(s.sent, "O")
	} else {
		s.sent = append(s.sent, fmt.Sprint("D", binary.BigEndian.Uint16(p[2:])))
	}
	return nil
}

func (s *script) read(_ context.Context, p []byte, _ time.Time) (int, error) {
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
			"O | D1 D2 D3 D4 | D5 D6 D7 D8 | D9 D10 | D9 D10 | D9 D10 |", errLastAck,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			link := &script{answers: test.answers}
			s := &sender{link: link, request: request{blksize: 8, window: 4}, retries: 2}
			_, err := s.send(t.Context(), bytes.NewReader(content(9*8+3)), 9*8+3)
			if got := strings.Join(link.sent, " "); got != test.want {
				t.Errorf("sent %s\nwant %s", got, test.want)
			}
			if fmt.Sprint(err) != fmt.Sprint(test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
		})
	}
}

func TestFileOfWholeBlocksEndsWithAnEmptyOne(t *testing.T) {
	link := &script{answers: []int{0, 3}}
	s := &sender{link: link, request: request{blksize: 8, window: 4}}
	sent, err := s.send(t.Context(), bytes.NewReader(content(16)), 16)
	if want := []string{"O", "|", "D1", "D2", "D3", "|"}; err != nil || sent != 16 || !slices.Equal(link.sent, want) {
		t.Errorf("sent %v, %d bytes, error %v; want %v", link.sent, sent, err, want)
	}
}

// TestBlockNumbersRollOver sends more blocks than there are numbers, both
// ways of sending.
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
