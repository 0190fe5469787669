package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/disk"
	"cloudlets/images/disk/md"
)

// pause is the time between two searches of all partitions.
const pause = 250 * time.Millisecond

// kernelSector is the unit of the sizes in /sys, in bytes.
const kernelSector = 512

// found is a member of an array.
type found struct {
	file      string // of its partition, in /dev
	partition int    // the number of that
	disk      wholeDisk
	member    md.Member
}

// array is the device file of the array that has the member, once that runs.
func (f found) array() string {
	return fmt.Sprintf("/dev/md%d", disk.ArrayNumber(disk.Partition{Number: f.partition}))
}

// search searches the machine's partitions for the members of arrays.
type search struct {
	dir   string      // the kernel's list: /sys/class/block
	dev   string      // where their files are: /dev
	want  []uuid.UUID // the arrays
	grace time.Duration
}

// find is [search.wait] without an end: each time that patience is over, it tells a person
// what is missing, who may see to the disks, and searches on. For a system on trial that is
// an error, so that the machine goes back to the one before.
func (s search) find(ctx context.Context, console io.Writer, trial bool, loadNew func(context.Context) error) (map[uuid.UUID][]found, error) {
	for {
		waiting, stop := context.WithTimeout(ctx, patience)
		members, err := s.wait(waiting, loadNew)
		stop()
		if _, missing := errors.AsType[notFound](err); !missing || trial || ctx.Err() != nil {
			return members, err
		}
		fmt.Fprintf(console, "cloudlets: %v; the search goes on\n", err)
	}
}

// wait searches until every array has all of its members, and returns them. When each has
// one at least, it waits for the others only as long as grace. Before each search it calls
// loadNew to load drivers for devices that appeared.
func (s search) wait(ctx context.Context, loadNew func(context.Context) error) (map[uuid.UUID][]found, error) {
	var late <-chan time.Time
	again := time.NewTicker(pause)
	defer again.Stop()
	for {
		if err := loadNew(ctx); err != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("load drivers: %w", err)
		}
		members, others, err := s.look()
		if err != nil {
			return nil, err
		}
		some, all := s.complete(members)
		if all {
			return members, nil
		}
		if some && late == nil {
			timer := time.NewTimer(s.grace)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-late:
			if some {
				return members, nil
			}
			late = nil // a disk was pulled meanwhile
		case <-again.C:
		case <-ctx.Done():
			if some {
				return members, nil
			}
			return nil, s.notFound(members, others)
		}
	}
}

// complete says whether each array has enough members to start, and whether it has all.
func (s search) complete(members map[uuid.UUID][]found) (some, all bool) {
	some, all = true, true
	for _, id := range s.want {
		some = some && startable(members[id])
		all = all && len(members[id]) > 0 && len(members[id]) >= members[id][0].member.Places
	}
	return some, all
}

// startable says whether some members of an array are enough to start it. One that was being
// filled is not: it has only a part of the content.
func startable(list []found) bool {
	var members []md.Member
	for _, f := range list {
		members = append(members, f.member)
	}
	return len(md.Current(members)) > 0
}

// disks are those that have members of the system's arrays.
type disks struct {
	whole []wholeDisk
	// want are the arrays, that with the most weight first: the data's, since those are
	// what nobody can install again.
	want    []uuid.UUID
	found   [][]found // by array and disk
	members md.Disks  // the same
}

// disks sorts the members that were found by their disks.
func (s search) disks(members map[uuid.UUID][]found) disks {
	d := disks{want: slices.Clone(s.want)}
	slices.Reverse(d.want)
	for _, id := range s.want {
		for _, f := range members[id] {
			if !slices.Contains(d.whole, f.disk) {
				d.whole = append(d.whole, f.disk)
			}
		}
	}
	for _, id := range d.want {
		list, row := make([]found, len(d.whole)), make([]md.Member, len(d.whole))
		for _, f := range members[id] {
			n := slices.Index(d.whole, f.disk)
			list[n], row[n] = f, f.member
		}
		d.found, d.members = append(d.found, list), append(d.members, row)
	}
	return d
}

// of returns all members of an array.
func (d disks) of(id uuid.UUID) []found {
	return slices.DeleteFunc(slices.Clone(d.found[slices.Index(d.want, id)]), func(f found) bool { return f.file == "" })
}

// current returns the members of an array that have its latest content.
func (d disks) current(id uuid.UUID) (list []found) {
	a := slices.Index(d.want, id)
	for _, n := range d.members.Current(a) {
		list = append(list, d.found[a][n])
	}
	return list
}

// look reads every partition once. It returns the members of the arrays that are wanted,
// and the names of what else is there. Of a member that is there twice, since its disk was
// copied or has two paths, the first counts.
func (s search) look() (members map[uuid.UUID][]found, others []string, err error) {
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list disks: %w", err)
	}
	members = map[uuid.UUID][]found{}
	for _, name := range names {
		f, err := s.read(name.Name())
		if err != nil || !slices.Contains(s.want, f.member.ID) {
			others = append(others, name.Name())
			continue
		}
		list := members[f.member.ID]
		if !slices.ContainsFunc(list, func(other found) bool { return other.member.Device == f.member.Device }) {
			members[f.member.ID] = append(list, f)
		}
	}
	return members, others, nil
}

// read reads the superblock of a partition, and which disk has it.
func (s search) read(name string) (found, error) {
	number, err := s.attribute(name, "partition")
	if err != nil {
		return found{}, err
	}
	sectors, err := s.attribute(name, "size")
	if err != nil {
		return found{}, err
	}
	f := found{file: filepath.Join(s.dev, name), partition: int(number)}
	if f.disk, err = s.diskOf(f.file); err != nil {
		return f, err
	}
	device, err := os.Open(f.file)
	if err != nil {
		return f, err
	}
	defer device.Close()
	f.member, err = md.Read(device, sectors*kernelSector)
	return f, err
}

// attribute reads a number that the kernel tells of a block device.
func (s search) attribute(name, what string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, name, what))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// notFound is the error if an array cannot be started by what was found in time.
type notFound struct{ error }

// notFound says which array has no member that will do, and what was found instead.
func (s search) notFound(members map[uuid.UUID][]found, others []string) error {
	if len(others) == 0 && len(members) == 0 {
		return notFound{errors.New("find the system's disks: the kernel shows no disk; it may lack the driver of their controller")}
	}
	for _, id := range s.want {
		if list := members[id]; len(list) > 0 && !startable(list) {
			return notFound{partOnly(id, list[0].file)}
		}
	}
	missing := ""
	for _, id := range s.want {
		if len(members[id]) == 0 {
			missing = id.String()
		}
	}
	return notFound{fmt.Errorf("find the array %s: neither disk with a member of it was found, but only %s; see to the disks and their cables", missing, strings.Join(others, ", "))}
}

// partOnly is the error if only the member of an array is there that was being filled.
func partOnly(id uuid.UUID, file string) error {
	return fmt.Errorf("start the array %s: %s has only a part of its content, as it was being made like the other disk: connect that one", id, file)
}
