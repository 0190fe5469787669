package vdisk

import (
	"os"

	"golang.org/x/sys/windows"
)

// allowHoles makes unwritten parts of a file take no room. Windows must be asked for
// this, and some filesystems do not support it. Only raw disks ask for it, because
// Hyper-V does not open a disk in its own formats that has holes.
func allowHoles(f File) {
	file, ok := f.(*os.File)
	if !ok {
		return
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return // the file is closed, and the next write reports that
	}
	_ = conn.Control(func(fd uintptr) {
		var n uint32
		_ = windows.DeviceIoControl(windows.Handle(fd), windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
	})
}
