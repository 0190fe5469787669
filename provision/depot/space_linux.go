package depot

import "golang.org/x/sys/unix"

// freeSpace is how many bytes an ordinary user can still write in a folder.
func freeSpace(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}
