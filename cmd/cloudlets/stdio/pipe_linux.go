package stdio

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is the capacity, in bytes, that Widen asks for. Linux grants this
// much to every user; a pipe starts with 64 KiB.
const pipeSize = 1 << 20

// Widen enlarges a pipe, so that writing many files into it does not wait for
// the reader at every file. If w is not a pipe or may not grow, it stays as it
// is.
func Widen(w io.Writer) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return // it is closed; the next write returns the error
	}
	_ = conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
}
