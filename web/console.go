package web

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/power/desk"
	"cloudlets/web/api"
	"cloudlets/web/sse"
)

// frameWriter sends what a console shows.
type frameWriter struct{ conn net.Conn }

// Write implements [io.Writer].
func (f frameWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), api.MaxFrame)]
		if err = f.send(api.FrameShown, part); err == nil {
			n, p = n+len(part), p[len(part):]
		}
	}
	return n, err
}

func (f frameWriter) send(kind byte, p []byte) error {
	_ = f.conn.SetWriteDeadline(time.Now().Add(sse.WriteTimeout)) // fails only for a connection that is gone
	_, err := f.conn.Write(append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(p))), p...))
	return err
}

// end says that the console has ended, and why.
func (f frameWriter) end(err error) {
	text := ""
	if err != nil {
		text = provision.Cut(err.Error(), api.MaxFrame)
	}
	_ = f.send(api.FrameEnd, []byte(text)) // a client that is gone needs no reason
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
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+api.ConsoleProtocol+"\r\n\r\n")
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
	case r.Header.Get("Upgrade") != api.ConsoleProtocol:
		return nil, "", refuse(http.StatusUpgradeRequired, "a console is a connection that is upgraded to %s: use `cloudlets console %s`", api.ConsoleProtocol, mac)
	case by == "":
		return nil, "", refuse(http.StatusBadRequest, "\"by\" is empty; want ?by=NAME")
	}
	return spec, by, nil
}
