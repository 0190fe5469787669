package nbd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The kernel's interface to attach a disk: include/uapi/linux/nbd-netlink.h and nbd.h. It
// is there since Linux 4.12.
const (
	familyName    = "nbd"
	familyVersion = 1
	cmdConnect    = 1

	attrIndex       = 1
	attrSizeBytes   = 2
	attrBlockSize   = 3
	attrServerFlags = 5
	attrSockets     = 7
	attrSocketItem  = 1 // in attrSockets
	attrSocketFD    = 1 // in attrSocketItem

	flagHasFlags = 1 << 0
	flagReadOnly = 1 << 1
)

// Disk is a disk of the running kernel.
type Disk struct {
	// File is its device file, such as "/dev/nbd0".
	File string

	length int64
	conn   net.Conn
}

// Attach makes a disk of some bytes, a multiple of [BlockSize]. The driver nbd must be
// loaded. Reads of the disk wait until [Disk.Serve] answers them; Linux before 5.4 gives them
// up after 30 seconds.
func Attach(length int64) (*Disk, error) {
	d, err := attach(length)
	if err != nil {
		return nil, fmt.Errorf("make a disk of %d bytes by the kernel's driver nbd: %w", length, err)
	}
	return d, nil
}

func attach(length int64) (*Disk, error) {
	if length <= 0 || length%BlockSize != 0 {
		return nil, fmt.Errorf("want a multiple of %d bytes", BlockSize)
	}
	family, err := netlink.GenlFamilyGet(familyName)
	if err != nil {
		return nil, fmt.Errorf("the driver is not loaded, or the kernel is older than 4.12: %w", err)
	}
	conn, kernel, err := pair()
	if err != nil {
		return nil, err
	}
	defer kernel.Close() // the kernel keeps the socket
	index, err := connect(family.ID, kernel, length)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Disk{File: fmt.Sprintf("/dev/nbd%d", index), length: length, conn: conn}, nil
}

// connect has the kernel attach the first disk that is free, and returns its number.
func connect(family uint16, socket *os.File, length int64) (index uint32, err error) {
	request := nl.NewNetlinkRequest(int(family), unix.NLM_F_ACK)
	request.AddData(&nl.Genlmsg{Command: cmdConnect, Version: familyVersion})
	request.AddData(nl.NewRtAttr(attrSizeBytes, nl.Uint64Attr(uint64(length))))
	request.AddData(nl.NewRtAttr(attrBlockSize, nl.Uint64Attr(BlockSize)))
	request.AddData(nl.NewRtAttr(attrServerFlags, nl.Uint64Attr(flagHasFlags|flagReadOnly)))
	sockets := nl.NewRtAttr(attrSockets|unix.NLA_F_NESTED, nil)
	sockets.AddRtAttr(attrSocketItem|unix.NLA_F_NESTED, nil).AddRtAttr(attrSocketFD, nl.Uint32Attr(uint32(socket.Fd())))
	request.AddData(sockets)
	answers, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, err
	}
	for _, answer := range answers {
		attributes, err := nl.ParseRouteAttr(answer[min(nl.SizeofGenlmsg, len(answer)):])
		if err != nil {
			return 0, err
		}
		for _, a := range attributes {
			if a.Attr.Type == attrIndex && len(a.Value) == 4 {
				return binary.NativeEndian.Uint32(a.Value), nil
			}
		}
	}
	return 0, errors.New("the kernel does not say which disk it made")
}

// Serve answers the kernel's reads from a source, until ctx ends. The disk is gone then:
// what is read of it fails.
func (d *Disk) Serve(ctx context.Context, from Source) error {
	return errors.Join(serve(ctx, d.conn, d.length, from), closed(d.conn.Close()))
}

// closed leaves out the error of what is closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "nbd"), os.NewFile(uintptr(fds[1]), "nbd of the kernel"), nil
}
