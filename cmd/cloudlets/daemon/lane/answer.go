//go:build linux

package lane

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxUnsaid is up to how many bytes net/http says how long a body is, if the handler
	// did not.
	maxUnsaid = 2048
	// bufferSize is how much of an answer is sent at once, if it is not a file.
	bufferSize = 68 << 10
	// smallSize is for an answer that has no more than a head, as that to a request for a
	// large file. While a hall is switched on, thousands have one at once.
	smallSize = 4 << 10
	// smallFile is up to how many bytes of a file are copied to the buffer, and sent
	// together with the head. That is one packet less, and one call of the kernel.
	smallFile = 16 << 10
)

// answer writes what a handler answers, as net/http does.
type answer struct {
	conn   *conn
	r      *http.Request
	header http.Header
	status int     // 0 until the handler has said it
	length int64   // of the body, as the handler said; -1 if it did not
	body   int64   // so many bytes came from the handler
	buf    *buffer // what is not sent yet; nil if there is nothing
	err    error   // of the connection; the rest of the answer is lost

	// A head that depends on the body has to wait for that. Meanwhile sent is the
	// header as it was when the handler said the status.
	sent    http.Header
	pending []byte // the body so far
	begun   bool   // the head was written
	chunked bool
	closes  bool // the connection ends with this answer
}

var (
	_ http.ResponseWriter = (*answer)(nil)
	_ io.StringWriter     = (*answer)(nil)
	_ io.ReaderFrom       = (*answer)(nil)
)

// begin makes the answer ready for a request.
func (a *answer) begin(c *conn, r *http.Request) {
	*a = answer{conn: c, r: r, header: make(http.Header, 8), length: -1}
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter]. What is only informational is left
// out: it tells a client that sends a body, or one that renders pages.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 || status < http.StatusOK {
		return
	}
	a.status = status
	if text := a.header.Get("Content-Length"); text != "" {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			a.length = n
		}
	}
	if _, typed := a.header["Content-Type"]; typed && a.length >= 0 || !allowsBody(status) {
		a.writeHead(a.header, false)
		return
	}
	a.sent = a.header.Clone()
}

// allowsBody says whether an answer with a status may have a body.
func allowsBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// isHead says whether only the head is asked for.
func (a *answer) isHead() bool { return a.r.Method == http.MethodHead }

// Write implements [io.Writer].
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	switch {
	case a.err != nil:
		return 0, a.err
	case len(p) == 0:
		return 0, nil
	case !allowsBody(a.status):
		return 0, http.ErrBodyNotAllowed
	case a.length >= 0 && a.body+int64(len(p)) > a.length:
		return 0, http.ErrContentLength
	}
	a.body += int64(len(p))
	switch {
	case a.begun:
		a.put(p)
	case a.length < 0 && len(a.pending)+len(p) <= maxUnsaid:
		a.pending = append(a.pending, p...)
	default:
		a.pending = append(a.pending, p...)
		a.release(false)
	}
	return len(p), a.err
}

// WriteString implements [io.StringWriter].
func (a *answer) WriteString(s string) (int, error) { return a.Write([]byte(s)) }

// ReadFrom implements [io.ReaderFrom]. The kernel sends a file, unless it is small.
func (a *answer) ReadFrom(from io.Reader) (n int64, err error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if !a.begun || a.length < 0 || a.isHead() || !allowsBody(a.status) {
		return io.Copy(struct{ io.Writer }{a}, from)
	}
	part := &io.LimitedReader{R: from, N: a.length - a.body}
	if bounded, ok := from.(*io.LimitedReader); ok && bounded.N <= part.N {
		part = bounded
	}
	if _, isFile := part.R.(*os.File); isFile && part.N > smallFile {
		if a.flush(); a.err == nil {
			n, a.err = a.conn.ReadFrom(part)
		}
		a.body += n
		return n, a.err
	}
	for part.N > 0 && a.err == nil {
		buf := a.buffer(int(min(part.N, bufferSize)))
		got, err := part.Read(buf.bytes[buf.n:])
		buf.n += got
		a.body += int64(got)
		n += int64(got)
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
		if buf.isFull() {
			a.flush()
		}
	}
	return n, a.err
}

// finish sends what is left of the answer, and reports whether the connection goes
// on.
func (a *answer) finish() (keep bool) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if !a.begun {
		a.release(true)
	}
	if a.chunked && !a.isHead() {
		a.emit("0\r\n\r\n")
	}
	a.flush()
	tooShort := !a.isHead() && allowsBody(a.status) && a.length >= 0 && a.body < a.length
	return a.err == nil && !a.closes && !tooShort
}

// release writes the head that has waited for the body, and the body so far. all
// says that this is the whole body.
func (a *answer) release(all bool) {
	a.writeHead(a.sent, all)
	body := a.pending
	a.pending = nil
	if len(body) > 0 {
		a.put(body)
	}
}

// writeHead writes the status and the header. It follows net/http's
// chunkWriter.writeHeader, whose answers are the same byte by byte. all says that the
// whole body is pending.
func (a *answer) writeHead(header http.Header, all bool) {
	a.begun = true
	stopping := a.conn.lane.stopping.Load()
	saysClose := header.Get("Connection") == "close"
	a.closes = stopping || saysClose
	leaveOut := map[string]bool(nil)
	omit := func(name string) {
		if _, has := header[name]; has {
			if leaveOut == nil {
				leaveOut = map[string]bool{}
			}
			leaveOut[name] = true
		}
	}
	omit("Transfer-Encoding")
	length, kind := a.length, ""
	switch {
	case a.status == http.StatusNotModified:
		omit("Content-Type")
		omit("Content-Length")
	case a.status == http.StatusNoContent:
		omit("Content-Length")
	default:
		if _, typed := header["Content-Type"]; !typed && header.Get("Content-Encoding") == "" && len(a.pending) > 0 {
			kind = http.DetectContentType(a.pending)
		}
		if _, said := header["Content-Length"]; !said && all && (!a.isHead() || len(a.pending) > 0) {
			length = int64(len(a.pending))
		}
		if a.chunked = length < 0 && !a.isHead(); a.chunked {
			omit("Content-Length") // it was no number
		}
	}
	if stopping {
		omit("Connection")
	}
	a.emit("HTTP/1.1 ")
	a.emit(statusLine(a.status))
	_ = header.WriteSubset(emitter{a}, leaveOut) // an emitter notes what goes wrong
	if header.Get("Date") == "" {
		a.emit("Date: ")
		a.emit(date())
		a.emit("\r\n")
	}
	if a.length < 0 && length >= 0 {
		a.emit("Content-Length: " + strconv.FormatInt(length, 10) + "\r\n")
	}
	if kind != "" {
		a.emit("Content-Type: " + kind + "\r\n")
	}
	if stopping {
		a.emit("Connection: close\r\n")
	}
	if a.chunked {
		a.emit("Transfer-Encoding: chunked\r\n")
	}
	a.emit("\r\n")
}

// put sends a part of the body.
func (a *answer) put(p []byte) {
	switch {
	case a.isHead():
	case a.chunked:
		a.emit(strconv.FormatInt(int64(len(p)), 16) + "\r\n")
		emit(a, p)
		a.emit("\r\n")
	default:
		emit(a, p)
	}
}

func (a *answer) emit(text string) { emit(a, text) }

// emit adds to what will be sent.
func emit[T string | []byte](a *answer, p T) {
	for len(p) > 0 && a.err == nil {
		buf := a.buffer(len(p))
		n := copy(buf.bytes[buf.n:], p)
		buf.n += n
		if p = p[n:]; buf.isFull() {
			a.flush()
		}
	}
}

// emitter is an answer as a writer of heads.
type emitter struct{ *answer }

// Write implements [io.Writer].
func (e emitter) Write(p []byte) (int, error) {
	emit(e.answer, p)
	return len(p), nil
}

// WriteString implements [io.StringWriter].
func (e emitter) WriteString(s string) (int, error) {
	emit(e.answer, s)
	return len(s), nil
}

// buffer is a part of an answer.
type buffer struct {
	n     int
	bytes []byte // of smallSize or bufferSize
}

func (b *buffer) isFull() bool { return b.n == len(b.bytes) }

var (
	small = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, smallSize)} }}
	large = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, bufferSize)} }}
)

func (b *buffer) release() {
	b.n = 0
	if len(b.bytes) == smallSize {
		small.Put(b)
	} else {
		large.Put(b)
	}
}

// buffer is the answer's buffer, which gets a large one when more bytes come than fit
// into a small one.
func (a *answer) buffer(more int) *buffer {
	switch {
	case a.buf == nil && more <= smallSize:
		a.buf = small.Get().(*buffer)
	case a.buf == nil:
		a.buf = large.Get().(*buffer)
	case len(a.buf.bytes) == smallSize && a.buf.n+more > smallSize:
		grown := large.Get().(*buffer)
		grown.n = copy(grown.bytes, a.buf.bytes[:a.buf.n])
		a.buf.release()
		a.buf = grown
	}
	return a.buf
}

// flush sends what is in the buffer. While a file is sent there is none.
func (a *answer) flush() {
	buf := a.buf
	if buf == nil {
		return
	}
	if a.buf = nil; a.err == nil {
		_, a.err = a.conn.Write(buf.bytes[:buf.n])
	}
	buf.release()
}

// drop forgets what was not sent yet.
func (a *answer) drop() {
	if a.err == nil {
		a.err = http.ErrAbortHandler
	}
	a.flush()
}

// statusLine is the rest of the first line of an answer.
func statusLine(status int) string {
	switch status {
	case http.StatusOK:
		return "200 OK\r\n"
	case http.StatusPartialContent:
		return "206 Partial Content\r\n"
	}
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%03d %s\r\n", status, text)
	}
	return fmt.Sprintf("%03d status code %[1]d\r\n", status)
}

// lately is the date of the second in which an answer was last given.
var lately atomic.Pointer[stamp]

type stamp struct {
	second int64
	text   string
}

// date is the value of the header Date.
func date() string {
	now := time.Now()
	if last := lately.Load(); last != nil && last.second == now.Unix() {
		return last.text
	}
	text := now.UTC().Format(http.TimeFormat)
	lately.Store(&stamp{now.Unix(), text})
	return text
}
