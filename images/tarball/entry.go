package tarball

import (
	"archive/tar"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudlets/images"
)

// impliedDirectory is a directory that a tarball does not name.
func impliedDirectory(p string) images.Entry {
	return images.Entry{Path: p, Type: images.Directory, Mode: 0o755, ModTime: time.Unix(0, 0).UTC()}
}

// Entry is the file that a tarball's header stands for, with an absolute path.
// A header that no filesystem could hold, or whose name leads out of the image,
// is an error that begins with what is wrong: "has an empty name".
func Entry(h *tar.Header) (images.Entry, error) {
	e, err := placeOf(h)
	if err != nil {
		return images.Entry{}, err
	}
	if e.Xattrs, err = xattrsOf(h); err != nil {
		return images.Entry{}, err
	}
	if err := setOwner(h, &e); err != nil {
		return images.Entry{}, err
	}
	e.Mode, e.ModTime = uint32(h.Mode&0o7777), h.ModTime.UTC()
	if e.Type == images.Symlink {
		e.Mode = 0o777 // as Linux has it, whatever the system that made the tarball has
	}
	if seconds := h.ModTime.Unix(); seconds < minTime || seconds > maxTime {
		return images.Entry{}, fmt.Errorf("is of a time %d seconds from 1970, which no file can have", seconds)
	}
	return e, checkEntry(e)
}

// placeOf reads what is where: path, type, size and what a link names.
func placeOf(h *tar.Header) (images.Entry, error) {
	p, err := imagePath(h.Name)
	if err != nil {
		return images.Entry{}, err
	}
	e := images.Entry{Path: p}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse, 0:
		// Tools before POSIX tell a directory by the end of its name.
		if e.Type, e.Size = images.Regular, h.Size; strings.HasSuffix(h.Name, "/") {
			e.Type, e.Size = images.Directory, 0
		}
	case tar.TypeDir:
		e.Type = images.Directory
	case tar.TypeSymlink:
		e.Type, e.Link = images.Symlink, h.Linkname
	case tar.TypeLink:
		e.Type = images.HardLink
		e.Link, err = imagePath(h.Linkname)
	case tar.TypeChar:
		e.Type = images.CharDevice
	case tar.TypeBlock:
		e.Type = images.BlockDevice
	case tar.TypeFifo:
		e.Type = images.FIFO
	default:
		return images.Entry{}, fmt.Errorf("is of the unknown type %q", h.Typeflag)
	}
	return e, err
}

// Bounds of what Linux's filesystems hold.
const (
	maxID    = 1<<32 - 2 // of an owner; the next one means none
	maxMajor = 1<<12 - 1 // of a device
	maxMinor = 1<<20 - 1
	maxFile  = 16 << 40 // bytes of a file on ext4
	// Times are from the year 1 to 9999, in seconds since 1970.
	minTime, maxTime = -62135596800, 253402300799
	maxXattrName     = 255
	maxXattr         = 64 << 10 // bytes of a value
)

// setOwner reads the numbers of owner and device.
func setOwner(h *tar.Header, e *images.Entry) error {
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > maxID || int64(h.Gid) > maxID {
		return fmt.Errorf("has the owner %d:%d, which no file can have", h.Uid, h.Gid)
	}
	e.UID, e.GID = uint32(h.Uid), uint32(h.Gid)
	if e.Type != images.CharDevice && e.Type != images.BlockDevice {
		return nil
	}
	if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > maxMajor || h.Devminor > maxMinor {
		return fmt.Errorf("is the device %d:%d, which there cannot be", h.Devmajor, h.Devminor)
	}
	e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	return nil
}

// checkEntry refuses what no filesystem can hold.
func checkEntry(e images.Entry) error {
	switch {
	case e.Size > maxFile:
		return fmt.Errorf("is %d bytes long: no filesystem of ours takes more than %d", e.Size, int64(maxFile))
	case e.Path == "/" && e.Type != images.Directory:
		return errors.New("makes the root something other than a directory")
	case e.Type == images.Symlink && (e.Link == "" || len(e.Link) > 4095 || strings.ContainsRune(e.Link, 0)):
		return errors.New("is a symbolic link to an impossible path")
	case len(e.Path) > 4095:
		return fmt.Errorf("has a path of %d bytes: no more than 4095 can be opened", len(e.Path))
	}
	for part := range strings.SplitSeq(e.Path, "/") {
		if len(part) > 255 {
			return fmt.Errorf("has a name of %d bytes: no filesystem takes more than 255", len(part))
		}
	}
	return nil
}

// imagePath is the path in the image that a name in a tarball stands for.
func imagePath(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("has an empty name")
	case strings.ContainsRune(name, 0):
		return "", errors.New("has a zero byte in its name")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", fmt.Errorf("has \"..\" in the name %q: it could leave the image", name)
	}
	return images.CleanPath(name), nil
}

// xattrRecord begins the PAX records that hold extended attributes.
const xattrRecord = "SCHILY.xattr."

// xattrsOf reads the extended attributes that PAX records carry.
func xattrsOf(h *tar.Header) (map[string]string, error) {
	var xattrs map[string]string
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, xattrRecord)
		if !ok || name == "" {
			continue
		}
		if name = xattrName(name); len(name) > maxXattrName || len(value) > maxXattr || strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("has the extended attribute %.40q, of which name or value is longer than any filesystem's", name)
		}
		if xattrs == nil {
			xattrs = map[string]string{}
		}
		xattrs[name] = value
	}
	return xattrs, nil
}

// xattrName is the attribute's name in a record's key, where GNU tar writes
// "=" and "%" as %3D and %25.
func xattrName(key string) string {
	if !strings.Contains(key, "%") {
		return key
	}
	return strings.NewReplacer("%25", "%", "%3D", "=").Replace(key)
}
