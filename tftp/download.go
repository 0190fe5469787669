package tftp

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// download is one admitted request, until it is reported.
type download struct {
	request
	remote     netip.AddrPort
	addr       net.Addr // remote in the form that Conn uses
	began      time.Time
	place      place
	size, sent int64 // bytes: of the file, and acknowledged by the client
}

var (
	// errProbe ends a download if the client only asked for the size.
	errProbe    = errors.New("the client asked for the size only")
	errStopping = errors.New("server is shutting down")
	errReading  = errors.New("the server cannot read this file")
)

// run serves a download, gives its place back and reports it.
func (s *service) run(d *download) {
	err := catch(func() error { return s.serve(d) })
	s.places.release(d.place)
	s.survive(func() { s.report(d, err) })
}

// serve sends the file, or tells the client why it cannot have it.
func (s *service) serve(d *download) error {
	conn, mtu, err := s.connect(d)
	if err != nil {
		return fmt.Errorf("open a socket for the download: %w", err)
	}
	defer conn.close()
	d.request = d.negotiated(s.largestBlock(d.remote, mtu), s.limits.window)
	err = s.sendFile(d, conn)
	if r, ok := errors.AsType[*refusal](err); ok {
		conn.send(r.packet())
	} else if errors.Is(err, errStopping) {
		conn.send(errorPacket(codeUndefined, errStopping.Error()))
	}
	return err
}

func (s *service) sendFile(d *download, conn clientConn) error {
	f, size, err := s.open(d)
	if err != nil {
		return err
	}
	defer f.Close()
	d.size = size
	w := &sender{conn: conn, request: d.request, timeout: s.limits.timeout, retries: s.limits.retries}
	d.sent, err = w.send(f, size)
	return err
}

// open opens a regular file. Its errors are refusals, which tell the client
// less than they tell the log.
func (s *service) open(d *download) (fs.File, int64, error) {
	f, err := s.openFor(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, refuse(codeNotFound, "file not found", "%w", err)
	}
	if err != nil {
		return nil, 0, unreadable(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, 0, refuse(codeNotFound, "file not found", "not a regular file but %v: %w", info.Mode(), fs.ErrNotExist)
	}
	return f, info.Size(), nil
}

func (s *service) openFor(d *download) (fs.File, error) {
	if asked, ok := s.FS.(Asked); ok {
		return asked.OpenFor(s.ctx, d.remote.Addr().Unmap(), d.name)
	}
	return s.FS.Open(d.name)
}

func unreadable(err error) *refusal {
	return refuse(codeUndefined, errReading.Error(), "%w", err)
}

// report tells the log and the observer how a request ended.
func (s *service) report(d *download, err error) {
	t := Transfer{
		Remote: d.remote, Name: d.name, Size: d.size, Bytes: d.sent,
		Duration: time.Since(d.began), Err: err,
	}
	if errors.Is(err, errProbe) {
		t.Probe, t.Err = true, nil
	}
	if t.Err != nil {
		t.Err = fmt.Errorf("answer %v's request for %q: %w", t.Remote, t.Name, t.Err)
	}
	s.log(t)
	s.Observe(t)
}

func (s *service) log(t Transfer) {
	attrs := []slog.Attr{
		slog.Any("remote", t.Remote), slog.String("name", t.Name),
		slog.Int64("size", t.Size), slog.Int64("bytes", t.Bytes), slog.Duration("took", t.Duration),
	}
	if t.Err != nil {
		attrs = append(attrs, slog.Any("error", t.Err))
	}
	level, text := slog.LevelDebug, "tftp: sent"
	fault, isFault := errors.AsType[*panicked](t.Err)
	switch {
	case isFault:
		level, text = slog.LevelError, "tftp: not sent"
		attrs = append(attrs, slog.String("stack", string(fault.stack)))
	case t.Probe:
		text = "tftp: told the size"
	case errors.Is(t.Err, fs.ErrNotExist): // firmware asks for files that may be there
		text = "tftp: no such file"
	case t.Err != nil:
		level, text = slog.LevelWarn, "tftp: not sent"
	}
	s.Log.LogAttrs(s.ctx, level, text, attrs...)
}
