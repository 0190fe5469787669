package vdisk

import (
	"os"

	"golang.org/x/sys/windows"
)

// allowHoles has what is not written of a file take no room: on Windows that
// is asked for, and a filesystem may not know it. Only raw disks ask, since
// Hyper-V opens no disk of its own that has holes.
func allowHoles(f File) {
	file, ok := f.(*os.File)
	if !ok {
		return
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return // it is closed, as writing will tell
	}
	_ = conn.Control(func(fd uintptr) {
		var n uint32
		_ = windows.DeviceIoControl(windows.Handle(fd), windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
	})
}
