package md

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's orders to an array, by ioctl on its device: linux/raid/md_u.h. A number is
// made as all are: the direction, the length of what is passed, the major number of md,
// and the order's own.
const (
	mdMajor = 9

	setArrayInfo = iocWrite<<30 | unsafe.Sizeof(arrayInfo{})<<16 | mdMajor<<8 | 0x23
	getArrayInfo = iocRead<<30 | unsafe.Sizeof(arrayInfo{})<<16 | mdMajor<<8 | 0x11
	addNewDisk   = iocWrite<<30 | unsafe.Sizeof(diskInfo{})<<16 | mdMajor<<8 | 0x21
	runArray     = iocWrite<<30 | unsafe.Sizeof(runParam{})<<16 | mdMajor<<8 | 0x30
	stopArray    = mdMajor<<8 | 0x32

	// Directions, as x86 and ARM have them.
	iocWrite, iocRead = 1, 2
)

// arrayInfo is mdu_array_info_t. With no members in it (raidDisks is 0), SET_ARRAY_INFO
// takes only which metadata the members have that follow; all else is in their
// superblocks.
type arrayInfo struct {
	majorVersion, minorVersion, patchVersion int32 // of the metadata; the patch is not used
	ctime                                    uint32
	level                                    int32
	size                                     int32 // KiB of each member, or -1 if that is too much for 32 bits
	nrDisks, raidDisks                       int32 // devices, and places
	mdMinor                                  int32
	notPersistent                            int32 // 1: there are no superblocks
	utime                                    uint32
	state                                    int32 // bits: 0 is clean
	activeDisks, workingDisks                int32
	failedDisks, spareDisks                  int32
	layout, chunkSize                        int32
}

// diskInfo is mdu_disk_info_t. Of a member with a superblock, ADD_NEW_DISK takes only the
// numbers of its device.
type diskInfo struct {
	number       int32
	major, minor int32
	raidDisk     int32
	state        int32
}

// runParam is mdu_param_t, which RUN_ARRAY is declared with and does not look at.
type runParam struct {
	personality, chunkSize, maxFault int32
}

// State is what the kernel says of an array that runs.
type State struct {
	Level, Places int
	// Active is how many members are in use: fewer than Places if the array is degraded,
	// or if a member is being written to be like the others.
	Active int
	// Filling is how many members are being written to be like the others, or wait for it.
	Filling int
	// Copied is how many bytes of each member the kernel has gone through, while it makes
	// the members the same. It rises in steps, of up to five minutes or a sixteenth. It is 0
	// if the kernel does not do that, or waits for another array of the same disks.
	Copied int64
	// Failed are the names of devices that the kernel has dropped, since a write to them
	// failed or they are gone: "sdb3".
	Failed []string
}

// How long Stop waits for a device to go, and how often it looks.
const (
	goneWithin = 30 * time.Second
	lookEvery  = 5 * time.Millisecond
)

// newArrays is a file of the kernel: an array is made by writing its name.
const newArrays = "/sys/module/md_mod/parameters/new_array"

// Assemble has the kernel start an array as /dev/md<number>, out of the devices whose
// superblocks are its members, such as /dev/sda3 and /dev/sdb3. It returns the file of the
// array. Missing members leave it degraded, and it starts all the same; the kernel leaves
// out those that are older than the others. If the array was not stopped well, the kernel
// copies one member to the others while the array is used.
//
// The kernel's modules md-mod and raid1 must be loaded, and /dev be a devtmpfs. Assemble
// is the only one that may make arrays meanwhile: an array that is there is not touched,
// and is an error. Starting an array writes the superblocks of its members.
func Assemble(ctx context.Context, number int, devices []string) (file string, err error) {
	if len(devices) == 0 {
		return "", errors.New("assemble an array: it has no devices")
	}
	name := fmt.Sprintf("md%d", number)
	file = "/dev/" + name
	if err := makeArray(file); err != nil {
		return "", err
	}
	if err := fill(file, devices); err != nil {
		// What was added stays the array's, and so nobody else could use it.
		return "", errors.Join(fmt.Errorf("assemble the array %s of %s: %w", name, strings.Join(devices, " and "), err), Stop(context.WithoutCancel(ctx), file))
	}
	return file, nil
}

// makeArray makes an empty array.
func makeArray(file string) error {
	name := filepath.Base(file)
	if _, err := os.Stat(inSys(file)); err == nil {
		return fmt.Errorf("make the array %s: it is there already", name)
	}
	f, err := os.OpenFile(newArrays, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make the array %s: the kernel has no driver for md: load its modules md-mod and raid1: %w", name, err)
	}
	if err != nil {
		return fmt.Errorf("make the array %s: %w", name, err)
	}
	_, err = f.WriteString(name)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("make the array %s: %w", name, err)
	}
	return nil
}

// fill adds the devices to an empty array, and runs it.
func fill(file string, devices []string) (err error) {
	array, err := os.OpenFile(file, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, array.Close()) }()
	if err := order(array, setArrayInfo, unsafe.Pointer(&arrayInfo{majorVersion: major})); err != nil {
		return fmt.Errorf("say that its members have metadata 1.0: %w", err)
	}
	for _, device := range devices {
		if err := add(array, device); err != nil {
			return err
		}
	}
	if err := order(array, runArray, nil); err != nil {
		return fmt.Errorf("run it: %w (the kernel's log says why)", err)
	}
	return nil
}

// Add puts a device into an array that runs, in the place of a member that is missing: one
// that was away, or a new one that has a superblock of the array. The kernel copies to it
// while the array is used.
func Add(file, device string) error {
	array, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("add a member to the array %s: %w", file, err)
	}
	return errors.Join(add(array, device), array.Close())
}

// add gives a device to an array, as a member of the array's metadata.
func add(array *os.File, device string) error {
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return fmt.Errorf("look for the member %s: %w", device, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return fmt.Errorf("the member %s is no block device", device)
	}
	disk := diskInfo{major: int32(unix.Major(st.Rdev)), minor: int32(unix.Minor(st.Rdev))}
	if err := order(array, addNewDisk, unsafe.Pointer(&disk)); err != nil {
		return fmt.Errorf("add the member %s: %w (the kernel's log says why)", device, err)
	}
	return nil
}

// Stop ends an array, which makes it clean, and waits until its device is gone: the kernel
// removes that later, and an array of the same number cannot be made before. Nothing may
// use it any more. An array that has no members is removed, too.
func Stop(ctx context.Context, file string) error {
	array, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("stop the array %s: %w", file, err)
	}
	err = order(array, stopArray, nil)
	if err := errors.Join(err, array.Close()); err != nil {
		return fmt.Errorf("stop the array %s: %w", file, err)
	}
	ctx, done := context.WithTimeout(ctx, goneWithin)
	defer done()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if _, err := os.Stat(inSys(file)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-look.C: // the kernel tells nobody who has not asked before
		case <-ctx.Done():
			return fmt.Errorf("stop the array %s: it is stopped, and its device is still there, as something has it open: %w", file, ctx.Err())
		}
	}
}

// inSys is where sysfs has a device.
func inSys(file string) string { return filepath.Join("/sys/block", filepath.Base(file)) }

// Look asks the kernel for the state of an array that runs.
func Look(file string) (State, error) {
	array, err := os.Open(file)
	if err != nil {
		return State{}, fmt.Errorf("look at the array %s: %w", file, err)
	}
	defer array.Close()
	var info arrayInfo
	if err := order(array, getArrayInfo, unsafe.Pointer(&info)); err != nil {
		return State{}, fmt.Errorf("look at the array %s: %w", file, err)
	}
	s := State{Level: int(info.level), Places: int(info.raidDisks), Active: int(info.activeDisks), Filling: int(info.spareDisks)}
	if s.Failed, err = failed(inSys(file)); err != nil {
		return State{}, fmt.Errorf("look at the array %s: %w", file, err)
	}
	if s.Copied, err = copied(inSys(file)); err != nil {
		return State{}, fmt.Errorf("look at the array %s: %w", file, err)
	}
	return s, nil
}

// copied reads how far the kernel is, of an array in sysfs: "512 / 2048", in sectors, or a word
// (Documentation/admin-guide/md.rst).
func copied(dir string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(dir, "md", "sync_completed"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // its level has no copies
	}
	if err != nil {
		return 0, err
	}
	var done, all int64
	if _, err := fmt.Sscanf(string(text), "%d / %d", &done, &all); err != nil {
		return 0, nil // "none" or "delayed"
	}
	return done * sector, nil
}

// failed returns the names of an array's devices that are marked as faulty. Dir is the array
// in sysfs: a file md/dev-NAME/state has words, with commas between them (Documentation/
// admin-guide/md.rst).
func failed(dir string) ([]string, error) {
	const before = "dev-"
	files, err := filepath.Glob(filepath.Join(dir, "md", before+"*", "state"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(strings.Split(strings.TrimSpace(string(text)), ","), "faulty") {
			names = append(names, strings.TrimPrefix(filepath.Base(filepath.Dir(file)), before))
		}
	}
	return names, nil
}

// order gives an order to the kernel.
func order(array *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, array.Fd(), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
