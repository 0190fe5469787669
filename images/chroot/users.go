//go:build linux

package chroot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// idRange is a range of user or group numbers of the host.
type idRange struct{ first, count uint32 }

// mapUsers makes the caller root in the child's user namespace and tells the
// child to continue. If the caller has subordinate users, they become the other
// users of the namespace.
func (s *session) mapUsers(ctx context.Context) error {
	pid := strconv.Itoa(s.cmd.Process.Pid)
	users, groups := subordinates("/etc/subuid"), subordinates("/etc/subgid")
	var err error
	if len(users) > 0 && len(groups) > 0 && haveTools() {
		err = errors.Join(
			mapRanges(ctx, "newuidmap", pid, os.Geteuid(), users),
			mapRanges(ctx, "newgidmap", pid, os.Getegid(), groups))
	} else {
		s.spec.Log.Debug("only one user exists inside: /etc/subuid or /etc/subgid has no subordinate users, or newuidmap is missing (Debian package uidmap)")
		err = mapOne(pid)
	}
	if err != nil {
		return fmt.Errorf("make this user root of a user namespace: %w", err)
	}
	_, err = s.control.Write([]byte{'\n'})
	return err
}

func haveTools() bool {
	_, errU := exec.LookPath("newuidmap")
	_, errG := exec.LookPath("newgidmap")
	return errU == nil && errG == nil
}

// subordinates returns the ranges that a file like subuid(5) gives to the user
// of this process. If the file cannot be read, there are none.
func subordinates(file string) []idRange {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	id := strconv.Itoa(os.Geteuid())
	name := id
	if u, err := user.LookupId(id); err == nil {
		name = u.Username
	}
	return parseSubordinates(text, name, id)
}

// parseSubordinates parses lines such as "joe:100000:65536".
func parseSubordinates(text []byte, name, id string) (ranges []idRange) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		owner, numbers, _ := strings.Cut(lines.Text(), ":")
		first, count, _ := strings.Cut(numbers, ":")
		if owner != name && owner != id {
			continue
		}
		from, errF := strconv.ParseUint(first, 10, 32)
		size, errC := strconv.ParseUint(count, 10, 32)
		if errF == nil && errC == nil && size > 0 {
			ranges = append(ranges, idRange{uint32(from), uint32(size)})
		}
	}
	return ranges
}

// mapRanges runs newuidmap(1) or newgidmap(1), which have the necessary rights.
// They map root to the caller, and the following numbers to the ranges.
func mapRanges(ctx context.Context, tool, pid string, caller int, ranges []idRange) error {
	args := []string{pid, "0", strconv.Itoa(caller), "1"}
	next := uint32(1)
	for _, r := range ranges {
		args = append(args, fmt.Sprint(next), fmt.Sprint(r.first), fmt.Sprint(r.count))
		next += r.count
	}
	out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, bytes.TrimSpace(out))
	}
	return nil
}

// mapOne maps only root to the caller. A user may do that without help if
// processes in the namespace can no longer leave a group (user_namespaces(7)).
func mapOne(pid string) error {
	for _, m := range []struct{ file, text string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("0 %d 1\n", os.Geteuid())},
		{"gid_map", fmt.Sprintf("0 %d 1\n", os.Getegid())},
	} {
		err := os.WriteFile("/proc/"+pid+"/"+m.file, []byte(m.text), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
