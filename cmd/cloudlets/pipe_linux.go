package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is how much a pipe is asked to hold. Linux gives so much to
// everybody, and 64 KiB to who does not ask.
const pipeSize = 1 << 20

// widen gives a pipe more room, so that whoever writes many files into it does
// not wait at every one for its reader. What is no pipe, or may not grow,
// stays as it is.
func widen(w io.Writer) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return // it is closed, as writing will tell
	}
	_ = conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
}
