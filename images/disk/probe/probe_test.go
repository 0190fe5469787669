package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/needs"
)

func identify(t testing.TB, f *os.File, size int64) string {
	t.Helper()
	found, err := Identify(f, size)
	if err != nil {
		t.Fatal(err)
	}
	return Describe(found)
}

func TestRealFilesystems(t *testing.T) {
	const id = "11112222-3333-4444-5555-666677778888"
	for _, c := range []struct {
		tool, pkg string
		args      []string
		want      string
		uuid      string
	}{
		{"mkfs.ext4", "e2fsprogs", []string{"-q", "-F", "-L", "root", "-U", id}, "ext4 'root' 64 MiB", id},
		{"mkfs.ext3", "e2fsprogs", []string{"-q", "-F", "-L", "old", "-U", id}, "ext3 'old' 64 MiB", id},
		{"mkfs.ext2", "e2fsprogs", []string{"-q", "-F", "-U", id}, "ext2 64 MiB", id},
		{"mkfs.vfat", "dosfstools", []string{"-n", "EFI", "-i", "1234ABCD"}, "vfat 'EFI' 64 MiB", "1234-ABCD"},
		{"mkfs.vfat", "dosfstools", []string{"-F", "32", "-i", "1234ABCD"}, "vfat 64 MiB", "1234-ABCD"},
		{"mkswap", "util-linux", []string{"-q", "-L", "sw", "-U", id}, "swap 'sw' 64 MiB", id},
	} {
		t.Run(c.want, func(t *testing.T) {
			f := blankImage(t, 64*testMIB)
			runTool(t, c.tool, c.pkg, append(c.args, f.Name())...)
			found, err := Identify(f, 64*testMIB)
			if err != nil || Describe(found) != c.want || found[0].UUID != c.uuid {
				t.Errorf("got %q %+v, want %q %s; error %v", Describe(found), found, c.want, c.uuid, err)
			}
		})
	}
}

// TestSignatures has what makes each kind known, made by hand after its
// format's description.
func TestSignatures(t *testing.T) {
	const size = 16 * testMIB
	le32 := func(v ...uint32) string {
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
		return string(b)
	}
	for _, c := range []struct {
		want string
		off  int64
		data string
	}{
		{"xfs 'data'", 0, "XFSB" + strings.Repeat("\x00", 104) + "data"},
		{"btrfs", 64*testKIB + 64, "_BHRfS_M"},
		{"ntfs", 3, "NTFS    "},
		{"swap", 64*testKIB - 10, "SWAP-SPACE"},
		{"hibernated system", 4086, "S1SUSPEND"},
		{"LUKS", 0, "LUKS\xba\xbe\x00\x01"},
		{"LUKS 'key'", 0, "LUKS\xba\xbe\x00\x02" + strings.Repeat("\x00", 16) + "key"},
		{"LVM PV", 512, "LABELONE" + strings.Repeat("\x01", 16) + "LVM2 001"},
		{"md RAID 1.1 'h:0'", 0, le32(mdMagic, 1) + strings.Repeat("\x00", 24) + "h:0"},
		{"md RAID 1.2", 4096, le32(mdMagic, 1)},
		{"md RAID 1.0", size - 8*testKIB, le32(mdMagic, 1)},
		{"md RAID 0.90", size - 64*testKIB, le32(mdMagic, 0)},
		{"md RAID 0.90", size - 64*testKIB, "\xa9\x2b\x4e\xfc"},
		{"zfs", 128*testKIB + 5*testKIB, "\x0c\xb1\xba\x00\x00\x00\x00\x00"},
		{"zfs", size - 128*testKIB, "\x00\x00\x00\x00\x00\xba\xb1\x0c"},
		{"squashfs", 0, "hsqs"},
		{"iso9660 'CDROM'", 32 * testKIB, "\x01CD001\x01" + strings.Repeat("\x00", 33) + "CDROM  "},
		{"exfat", 3, "EXFAT   "},
		{"f2fs", 1024, "\x10\x20\xf5\xf2"},
		{"Intel RAID", size - 1024, "Intel Raid ISM Cfg Sig. 1.0"},
		{Unrecognised, 700 * testKIB, "x"},
		{"GPT", size - 512, "EFI PART"},
		{"GPT", 512, "EFI PART"},
		{"GPT", 4096, "EFI PART"},
	} {
		t.Run(c.want, func(t *testing.T) {
			f := blankImage(t, size)
			if _, err := f.WriteAt([]byte(c.data), c.off); err != nil {
				t.Fatal(err)
			}
			got := identify(t, f, size)
			if got != c.want && got != c.want+" 16 MiB" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestBlank(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 4096, 2 * testMIB, testGIB} {
		if got := identify(t, blankImage(t, size), size); got != "blank" {
			t.Errorf("%d zeros are %q", size, got)
		}
	}
}

// TestErasedBeginningIsNotBlank: the filesystem's own repair finds everything again.
func TestErasedBeginningIsNotBlank(t *testing.T) {
	for _, c := range []struct {
		tool, pkg string
		args      []string
		size      int64
		erased    int64
	}{
		{"mkfs.ext4", "e2fsprogs", []string{"-q", "-F", "-E", "nodiscard"}, 768 * testMIB, testMIB},
		{"mkfs.ext4", "e2fsprogs", []string{"-q", "-F", "-E", "nodiscard"}, 768 * testMIB, 100 * testMIB},
		{"mkfs.vfat", "dosfstools", nil, 64 * testMIB, 8 << 10},
	} {
		f := blankImage(t, c.size)
		runTool(t, c.tool, c.pkg, append(c.args, f.Name())...)
		if _, err := f.WriteAt(make([]byte, c.erased), 0); err != nil {
			t.Fatal(err)
		}
		if got := identify(t, f, c.size); !strings.Contains(got, Unrecognised) {
			t.Errorf("%s of which %d bytes are erased is %q", c.tool, c.erased, got)
		}
	}
}

func TestWhatAnUnfinishedInstallLeftIsBlank(t *testing.T) {
	f := blankImage(t, 64*testMIB)
	if _, err := f.WriteAt([]byte("files"), 32*testMIB); err != nil {
		t.Fatal(err)
	}
	for want, first := range map[string][]byte{"blank": Unfinished(), PartOfMirror + " 64 MiB": UnfinishedPart(true), PartOfMirror + " 64 MiB ": UnfinishedPart(false)} {
		if _, err := f.WriteAt(first, 0); err != nil {
			t.Fatal(err)
		}
		if got := identify(t, f, 64*testMIB); got != strings.TrimSpace(want) {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
	// A person erased the beginning, and with it the mark.
	if _, err := f.WriteAt(make([]byte, testMIB), 0); err != nil {
		t.Fatal(err)
	}
	if got := identify(t, f, 64*testMIB); !strings.Contains(got, Unrecognised) {
		t.Errorf("without the mark it is %q", got)
	}
}

func TestDOSPartitions(t *testing.T) {
	const size = 64 * testMIB
	f := blankImage(t, size)
	entry := func(kind byte, start, count uint32) []byte {
		b := make([]byte, 16)
		b[4] = kind
		binary.LittleEndian.PutUint32(b[8:], start)
		binary.LittleEndian.PutUint32(b[12:], count)
		return b
	}
	sector := func(at int64, entries ...[]byte) {
		f.WriteAt(append(bytes.Join(entries, nil), make([]byte, 64-16*len(entries))...), at*512+446)
		f.WriteAt([]byte{0x55, 0xaa}, at*512+510)
	}
	sector(0, entry(0x83, 2048, 16384), entry(0x05, 20480, 100000))
	sector(20480, entry(0x83, 2048, 4096), entry(0x05, 10000, 8192))
	sector(30480, entry(0x82, 2048, 4096))
	f.WriteAt([]byte("XFSB"), 2048*512)
	f.WriteAt([]byte("LUKS\xba\xbe"), (30480+2048)*512)
	const want = "MBR with 3 partitions: xfs 8 MiB, nothing known 2 MiB, LUKS 2 MiB"
	if got := identify(t, f, size); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	sector(30480, entry(0x83, 1, 1), entry(0x05, 10000, 1)) // a link that leads to itself
	if got := identify(t, f, size); !strings.HasPrefix(got, "MBR with ") {
		t.Errorf("got %q of a table that never ends", got)
	}
}

func TestLabelsArePrintable(t *testing.T) {
	f := blankImage(t, testMIB)
	f.WriteAt([]byte("XFSB"), 0)
	f.WriteAt([]byte("a\x1b[2J\n\xffb"), 108)
	if got := identify(t, f, testMIB); got != "xfs 'a[2Jb' 1 MiB" {
		t.Errorf("got %q", got)
	}
}

type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errUnreadable }

// TestUnreadableIsNotBlank: a disk that cannot be read must not pass for an
// empty one.
func TestUnreadableIsNotBlank(t *testing.T) {
	if _, err := Identify(unreadable{}, testGIB); !errors.Is(err, errUnreadable) {
		t.Errorf("got error %v", err)
	}
}

const (
	testKIB = 1 << 10
	testMIB = 1 << 20
	testGIB = 1 << 30
)

var errUnreadable = errors.New("unreadable device")

// blankImage is a sparse file of size bytes.
func blankImage(t testing.TB, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

// runTool runs a foreign tool of a Debian package.
func runTool(t testing.TB, name, pkg string, args ...string) string {
	t.Helper()
	cmd := exec.Command(needs.Tool(t, name, pkg), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
