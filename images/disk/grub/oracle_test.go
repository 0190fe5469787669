package grub

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ulikunitz/xz/lzma"

	"cloudlets/testdata/needs"
)

// debianGRUB is where the Debian package grub-pc-bin has its files.
const debianGRUB = "/usr/lib/grub/i386-pc"

// TestImageIsWhatGRUBsOwnToolMakes compares images with those of
// grub-mkimage: the code around is the same but for the length of what is
// packed, and what is unpacked in memory is the same to the byte.
func TestImageIsWhatGRUBsOwnToolMakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		core   Core
		format string
		start  int // where the unpacking code begins
	}{
		"disk":        {diskCore(), "i386-pc", sectorSize},
		"CD":          {cdCore(), "i386-pc-eltorito", cdBootSize + sectorSize},
		"no modules":  {Core{Prefix: "/boot/grub"}, "i386-pc", sectorSize},
		"one config":  {Core{Prefix: "x", Config: []byte("echo hello\n")}, "i386-pc", sectorSize},
		"all modules": {Core{Prefix: "(cd)/grub", Modules: []string{"all_video", "gfxterm", "iso9660", "ext2"}}, "i386-pc", sectorSize},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.core.Files = os.DirFS(debianGRUB)
			ours, theirs := mustImage(t, test.core), mkimage(t, test.core, test.format)
			ourMemory, theirMemory := unpack(t, ours[test.start:]), unpack(t, theirs[test.start:])
			if !bytes.Equal(ourMemory, theirMemory) {
				t.Errorf("in memory there are other bytes: %d and %d, different from %#x on",
					len(ourMemory), len(theirMemory), differs(ourMemory, theirMemory))
			}
			unpacker := test.start + unpackerSize(t)
			for _, image := range [][]byte{ours, theirs} {
				clear(image[test.start-sectorSize+blockLengthAt:][:2])
				clear(image[test.start+packedSizeAt:][:4])
			}
			if at := differs(ours[:unpacker], theirs[:unpacker]); at >= 0 {
				t.Errorf("the code before the modules is different from byte %#x on", at)
			}
			t.Logf("%d bytes, grub-mkimage %d", len(ours), len(theirs))
		})
	}
}

// TestImageSaysHowLongItIs reads the block list and the sizes as the boot
// sector and the unpacking code do.
func TestImageSaysHowLongItIs(t *testing.T) {
	core := diskCore()
	core.Files = os.DirFS(debianGRUB)
	image := mustImage(t, core)
	if got, want := int(binary.LittleEndian.Uint16(image[blockLengthAt:])), (len(image)-1)/sectorSize; got != want {
		t.Errorf("the block list has %d sectors, and %d follow", got, want)
	}
	packed := int(binary.LittleEndian.Uint32(image[sectorSize+packedSizeAt:]))
	if got := sectorSize + unpackerSize(t) + packed; got != len(image) {
		t.Errorf("what is packed ends at byte %d, and the image at %d", got, len(image))
	}
}

func diskCore() Core {
	return Core{Prefix: "(,gpt2)/grub", Modules: []string{
		"biosdisk", "part_gpt", "fat", "normal", "echo", "test", "sleep", "ls", "cat", "configfile",
		"serial", "terminal", "terminfo", "keystatus", "linux", "boot", "halt", "reboot",
	}}
}

func cdCore() Core {
	return Core{
		Prefix: "/boot/grub", Medium: CD, Config: []byte("search --no-floppy --set=root --file /boot/grub/grub.cfg\n"),
		Modules: []string{
			"iso9660", "loopback", "search", "search_fs_file", "search_fs_uuid", "fat", "part_gpt", "part_msdos",
			"biosdisk", "normal", "configfile", "linux", "serial", "terminal", "echo", "test", "boot", "halt", "reboot",
		},
	}
}

// mkimage makes the same image with GRUB's own tool.
func mkimage(t *testing.T, c Core, format string) []byte {
	t.Helper()
	tool := needs.Tool(t, "grub-mkimage", "grub-common")
	dir := t.TempDir()
	out := filepath.Join(dir, "core.img")
	args := []string{"--format=" + format, "--directory=" + debianGRUB, "--prefix=" + c.Prefix, "--output=" + out}
	if c.Config != nil {
		config := filepath.Join(dir, "early.cfg")
		if err := os.WriteFile(config, c.Config, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config="+config)
	}
	if said, err := exec.Command(tool, append(args, c.Modules...)...).CombinedOutput(); err != nil {
		t.Fatalf("grub-mkimage: %v: %s", err, said)
	}
	image, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// unpack is what the code at the beginning of body makes of the rest.
func unpack(t *testing.T, body []byte) []byte {
	t.Helper()
	size := binary.LittleEndian.Uint32(body[unpackedSizeAt:])
	header := []byte{(2*5+0)*9 + 3} // pb, lp, lc
	header = binary.LittleEndian.AppendUint32(header, dictionarySize)
	header = binary.LittleEndian.AppendUint64(header, uint64(size))
	r, err := lzma.NewReader(io.MultiReader(bytes.NewReader(header), bytes.NewReader(body[unpackerSize(t):])))
	if err != nil {
		t.Fatal(err)
	}
	memory := make([]byte, size)
	if _, err := io.ReadFull(r, memory); err != nil {
		t.Fatalf("unpack: %v", err)
	}
	return memory
}

func unpackerSize(t *testing.T) int {
	t.Helper()
	info, err := os.Stat(filepath.Join(debianGRUB, "lzma_decompress.img"))
	if err != nil {
		t.Fatalf("GRUB's files are not there: install the Debian package grub-pc-bin: %v", err)
	}
	return int(info.Size())
}

func mustImage(t *testing.T, c Core) []byte {
	t.Helper()
	image, err := c.Image()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// differs is where two texts differ first, or -1.
func differs(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) == len(b) {
		return -1
	}
	return min(len(a), len(b))
}
