package api

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// ConsoleProtocol is what a connection is upgraded to that carries a console: from the
// client what is typed, as it is, and to the client frames of a kind, a length in two
// bytes (big endian), and so many bytes.
const ConsoleProtocol = "cloudlets-console"

// The kinds of frames.
const (
	FrameShown = 's' // what the console shows
	FrameEnd   = 'e' // the console has ended; the bytes say why, and are none if it ended well
)

// MaxFrame bounds the bytes of a frame.
const MaxFrame = 1<<16 - 1

// ErrLeft is what reading what a person types ends with if the person leaves the console.
var ErrLeft = errors.New("the console is left")

// Console joins a person with a machine's console, until reading in ends with [ErrLeft],
// or the console ends. Opened is called once it is open. If in ends otherwise, the console
// is only watched from then on.
func (c *Client) Console(ctx context.Context, machine, by string, opened func() (in io.Reader, out io.Writer, err error)) error {
	request, err := newRequest(ctx, http.MethodPost, machinePath(machine, "console")+"?"+url.Values{"by": {by}}.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", ConsoleProtocol)
	answer, err := c.send(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	conn, ok := answer.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.New("the daemon does not open a console; does it have another version?")
	}
	in, out, err := opened()
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	go func() {
		if _, err := io.Copy(conn, in); errors.Is(err, ErrLeft) {
			leave(ErrLeft)
		}
	}()
	err = readFrames(conn, out)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrLeft):
		return nil
	case cause != nil:
		return cause
	}
	return err
}

// readFrames writes what a console shows to out, until it ends.
func readFrames(conn io.Reader, out io.Writer) error {
	frames := bufio.NewReader(conn)
	for {
		var head [3]byte
		if _, err := io.ReadFull(frames, head[:]); err != nil {
			return fmt.Errorf("the daemon broke off the console: %w", err)
		}
		size := int64(binary.BigEndian.Uint16(head[1:]))
		if head[0] == FrameShown {
			if _, err := io.CopyN(out, frames, size); err != nil {
				return fmt.Errorf("show the console: %w", err)
			}
			continue
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(frames, text); err != nil {
			return fmt.Errorf("the daemon broke off the console: %w", err)
		}
		if size == 0 {
			return nil
		}
		return fmt.Errorf("the console ended: %s", text)
	}
}
