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

// job is a request on its way to its report.
type job struct {
	request
	remote netip.AddrPort
	addr   net.Addr // remote as the socket gave it
	began  time.Time
	flow   flow
}

// errProbe ends a transfer whose client only asked for the size.
var errProbe = errors.New("the client asked for the size only")

// blockSize is the size of the blocks that a request negotiates, in bytes.
func (r request) blockSize() int {
	if r.blksize == 0 {
		return defaultBlockSize
	}
	return r.blksize
}

// isProbe says whether the error with which a client answered the OACK means
// that the size was all it wanted. EDK2 sends "terminated by user", code 8;
// others send 0.
func (r request) isProbe(e *clientError) bool {
	return r.tsize && (e.code == codeOptions || e.code == codeUndefined)
}

// open opens a regular file. Its errors are refusals, which tell the client
// less than they tell the log.
func (s *service) open(name string) (fs.File, int64, error) {
	f, err := s.FS.Open(name)
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

func unreadable(err error) *refusal {
	return refuse(codeUndefined, errReading.Error(), "%w", err)
}

// finish gives a job's place back and reports it. Each admitted job is
// finished once.
func (s *service) finish(j *job, size, sent int64, err error) {
	s.inboxes.close(j.remote)
	s.release(j.flow)
	s.report(j, size, sent, err)
}

func (s *service) report(j *job, size, sent int64, err error) {
	t := Transfer{
		Remote: j.remote, Name: j.name, Size: size, Bytes: sent,
		Duration: time.Since(j.began), Err: err,
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
	level, text := slog.LevelInfo, "tftp: sent"
	switch {
	case t.Probe:
		level, text = slog.LevelDebug, "tftp: told the size"
	case errors.Is(t.Err, fs.ErrNotExist): // firmware asks for files that may be there
		text = "tftp: no such file"
	case t.Err != nil:
		level, text = slog.LevelWarn, "tftp: not sent"
	}
	attrs := []slog.Attr{
		slog.Any("remote", t.Remote), slog.String("name", t.Name),
		slog.Int64("size", t.Size), slog.Int64("bytes", t.Bytes), slog.Duration("took", t.Duration),
	}
	if t.Err != nil {
		attrs = append(attrs, slog.Any("error", t.Err))
	}
	s.Log.LogAttrs(s.ctx, level, text, attrs...)
}
