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

// Entry is the file that a tarball's header stands for, with an absolute path.
// A header that no filesystem could hold, or whose name leads out of the image,
// is an error that begins with what is wrong: "has an empty name". Extended
// attributes that Linux cannot store are left out.
func Entry(h *tar.Header) (images.Entry, error) { return entryOf(h, &remarks{}) }

// entryOf is Entry, and notes what it leaves out or changes.
func entryOf(h *tar.Header, r *remarks) (images.Entry, error) {
	e, err := placeOf(h)
	if err != nil {
		return images.Entry{}, err
	}
	if err := setOwner(h, &e); err != nil {
		return images.Entry{}, err
	}
	e.Mode, e.ModTime = uint32(h.Mode&0o7777), h.ModTime.UTC()
	dropped, err := setXattrs(h, &e)
	if err != nil {
		return images.Entry{}, err
	}
	if err := setACLs(h, &e); err != nil {
		return images.Entry{}, err
	}
	if e.Type == images.Symlink {
		e.Mode = 0o777 // as Linux has it, whatever the system that made the tarball has
	}
	r.drop(dropped)
	if seconds := e.ModTime.Unix(); seconds < minTime || seconds > maxTime {
		e.ModTime = time.Unix(min(max(seconds, minTime), maxTime), 0).UTC()
		r.clamp(e.Path)
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
	case tar.TypeDir, dumpDirectory:
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
		return images.Entry{}, unknownType(h.Typeflag)
	}
	return e, err
}

// Types of entry that the standard does not have.
const (
	// dumpDirectory is GNU tar's directory in an incremental backup. Its content
	// is a list of the names in it.
	dumpDirectory = 'D'
	// volumeLabel is GNU tar's type of entry for a name of the whole archive.
	volumeLabel = 'V'
	// continued is GNU tar's rest of a file that began in another volume.
	continued = 'M'
	// solarisACL is Solaris's access control list of the next entry.
	solarisACL = 'A'
	// solarisXattr is Solaris's extended attribute, a file of its own.
	solarisXattr = 'E'
)

func unknownType(kind byte) error {
	switch kind {
	case continued:
		return errors.New("continues in this volume of several: extract all of them with \"tar --multi-volume\" and make one tarball of it")
	case solarisACL:
		return errors.New("is an access control list of Solaris: make the tarball without -p, or with another tar")
	case solarisXattr:
		return errors.New("is an extended attribute of Solaris: make the tarball without -@")
	}
	return fmt.Errorf("is of the unknown type %q: make the tarball with GNU tar or bsdtar", kind)
}

// Bounds of what Linux's filesystems hold.
const (
	maxID    = 1<<32 - 2 // of an owner; the next one means none
	maxMajor = 1<<12 - 1 // of a device
	maxMinor = 1<<20 - 1
	maxFile  = 16 << 40 // bytes of a file on ext4
	// Times are from the year 1 to 9999, in seconds since 1970.
	minTime, maxTime = -62135596800, 253402300799
	maxPath          = 4095 // bytes
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
