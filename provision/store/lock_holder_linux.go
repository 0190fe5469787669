package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// lockHolder names the process that has a lock on a file, if the kernel tells
// which it is (proc_locks(5)).
func lockHolder(path string) string {
	const unknown = "another process, most likely a cloudlets server that is running already,"
	info, err := os.Stat(path)
	if err != nil {
		return unknown
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return unknown
	}
	pid := lockPID(string(locks), stat.Ino)
	if pid == "" || pid == "0" || pid == "-1" { // 0 and -1: in another PID namespace
		return unknown
	}
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return "process " + pid
	}
	return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
}

// lockPID finds a file's lock by the number of its inode, in lines such as
// "1: FLOCK ADVISORY WRITE 1234 08:01:131 0 EOF". It does not compare the
// numbers of the device, since on some filesystems they differ from stat(2).
func lockPID(locks string, inode uint64) string {
	suffix := fmt.Sprintf(":%d", inode)
	for line := range strings.Lines(locks) {
		fields := strings.Fields(line)
		if len(fields) >= 6 && fields[1] == "FLOCK" && strings.HasSuffix(fields[5], suffix) {
			return fields[4]
		}
	}
	return ""
}
