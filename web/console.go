package web

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/power/desk"
)

// consoleProtocol is what a connection is upgraded to that carries a console: from the
// client what is typed, as it is, and to the client frames of a kind, a length in two
// bytes (big endian), and so many bytes.
const consoleProtocol = "cloudlets-console"

// The kinds of frames.
const (
	frameShown = 's' // what the console shows
	frameEnd   = 'e' // the console has ended; the bytes say why, and are none if it ended well
)

// maxFrame bounds the bytes of a frame.
const maxFrame = 1<<16 - 1

// frameWriter sends what a console shows.
type frameWriter struct{ conn net.Conn }

// Write implements [io.Writer].
func (f frameWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), maxFrame)]
		if err = f.send(frameShown, part); err == nil {
			n, p = n+len(part), p[len(part):]
		}
	}
	return n, err
}

func (f frameWriter) send(kind byte, p []byte) error {
	_ = f.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails only for a connection that is gone
	_, err := f.conn.Write(append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(p))), p...))
	return err
}

// end says that the console has ended, and why.
func (f frameWriter) end(err error) {
	text := ""
	if err != nil {
		text = provision.Cut(err.Error(), maxFrame)
	}
	_ = f.send(frameEnd, []byte(text)) // a client that is gone needs no reason
}

// console joins a person with a machine's console, by an upgraded connection.
func (s *Server) console(w http.ResponseWriter, r *http.Request) {
	if err := s.joinConsole(w, r); err != nil {
		s.fail(w, r, err)
	}
}

// joinConsole returns an error if the console could not be opened.
func (s *Server) joinConsole(w http.ResponseWriter, r *http.Request) error {
	spec, by, err := s.consoleOf(r)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	go func() {
		select {
		case <-s.Stopping:
			stop()
		case <-ctx.Done():
		}
	}()
	var conn net.Conn
	err = s.Power.Console(ctx, spec, by, func() (io.Reader, io.Writer, error) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return nil, nil, fmt.Errorf("take over the connection for a console: %w", err)
		}
		conn = c
		_ = conn.SetDeadline(time.Time{}) // fails only for a connection that is gone
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+consoleProtocol+"\r\n\r\n")
		return buffered, frameWriter{conn}, err
	})
	switch {
	case conn != nil:
		if s.stopped() {
			err = errors.New("the server is being stopped")
		}
		frameWriter{conn}.end(err)
		_ = conn.Close()
		return nil
	case errors.Is(err, desk.ErrConsoles):
		return refuse(http.StatusServiceUnavailable, "open the console of %s: %v", spec.MAC, err)
	}
	return refuse(http.StatusBadGateway, "open the console of %s: %v", spec.MAC, err)
}

func (s *Server) stopped() bool {
	select {
	case <-s.Stopping:
		return true
	default:
		return false
	}
}

// consoleOf returns the machine of a request whose console can be opened, and who asks.
func (s *Server) consoleOf(r *http.Request) (*provision.Spec, string, error) {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return nil, "", err
	}
	spec, by := s.spec(mac), r.URL.Query().Get("by")
	switch {
	case spec == nil:
		return nil, "", refuse(http.StatusConflict, "%s has no console here: no file of the site describes it", mac)
	case spec.Power.ConsoleKind() == "":
		return nil, "", refuse(http.StatusConflict, "%s has no console here: add \"power\" with \"ipmi\" or \"console\" to %s", mac, mac.File())
	case s.Power == nil:
		return nil, "", refuse(http.StatusNotImplemented, "this server opens no consoles")
	case r.Header.Get("Upgrade") != consoleProtocol:
		return nil, "", refuse(http.StatusUpgradeRequired, "a console is a connection that is upgraded to %s: use `cloudlets console %s`", consoleProtocol, mac)
	case by == "":
		return nil, "", refuse(http.StatusBadRequest, "\"by\" is empty; want ?by=NAME")
	}
	return spec, by, nil
}

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
	request.Header.Set("Upgrade", consoleProtocol)
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
		if head[0] == frameShown {
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
