package grub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestImageIsTheSameEachTime(t *testing.T) {
	core := cdCore()
	core.Files = os.DirFS(debianGRUB)
	if !bytes.Equal(mustImage(t, core), mustImage(t, core)) {
		t.Error("the second image is another one")
	}
}

// TestWrongFilesAreRefused spoils GRUB's files one at a time.
func TestWrongFilesAreRefused(t *testing.T) {
	good := grubFiles(t, "kernel.img", "moddep.lst", "diskboot.img", "cdboot.img", "lzma_decompress.img",
		"fat.mod", "fshelp.mod")
	arm := bytes.Clone(good["fat.mod"].Data)
	arm[18] = 40 // EM_ARM
	for name, test := range map[string]struct {
		file    string
		content []byte
		says    string
	}{
		"no kernel":             {"kernel.img", nil, "kernel.img is missing: install the Debian package grub-pc-bin"},
		"no module":             {"fshelp.mod", nil, "fshelp.mod is missing"},
		"no dependencies":       {"moddep.lst", nil, "moddep.lst is missing"},
		"no code for disks":     {"diskboot.img", nil, "diskboot.img is missing"},
		"no code for CDs":       {"cdboot.img", nil, "cdboot.img is missing"},
		"no code that unpacks":  {"lzma_decompress.img", nil, "lzma_decompress.img is missing"},
		"kernel cut short":      {"kernel.img", good["kernel.img"].Data[:20000], "load kernel.img: "},
		"kernel is a text":      {"kernel.img", []byte("kernel"), "load kernel.img: "},
		"kernel is a module":    {"kernel.img", good["fat.mod"].Data, "GRUB's folder i386-pc"},
		"kernel of elsewhere":   {"kernel.img", moved(good["kernel.img"].Data), "it starts at 0x100000 instead of 0x9000"},
		"module is a kernel":    {"fat.mod", good["kernel.img"].Data, "load fat.mod: it is a ET_EXEC for EM_386"},
		"module of ARM":         {"fat.mod", arm, "load fat.mod: it is a ET_REL for EM_ARM"},
		"module is empty":       {"fat.mod", []byte{}, "load fat.mod: "},
		"dependencies are text": {"moddep.lst", []byte("hello\n"), "moddep.lst: line 1 has no colon"},
		"dependency elsewhere":  {"moddep.lst", []byte("\nfat: ../../etc/passwd\n"), `moddep.lst: line 2: "../../etc/passwd"`},
		"another first sector":  {"diskboot.img", make([]byte, 512), "diskboot.img is not"},
		"short first sector":    {"diskboot.img", make([]byte, 511), "diskboot.img is not"},
		"short code for CDs":    {"cdboot.img", make([]byte, 512), "cdboot.img has 512 bytes instead of 2048"},
		"little that unpacks":   {"lzma_decompress.img", make([]byte, 16), "lzma_decompress.img has 16 bytes"},
		"a lot that unpacks":    {"lzma_decompress.img", make([]byte, 4096), "lzma_decompress.img has 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(good)
			delete(files, test.file)
			if test.content != nil {
				files[test.file] = &fstest.MapFile{Data: test.content}
			}
			_, err := Core{Files: files, Modules: []string{"fat"}, Medium: CD}.Image()
			wantError(t, err, "make GRUB's core image: ")
			wantError(t, err, test.says)
			if missing := test.content == nil; errors.Is(err, fs.ErrNotExist) != missing {
				t.Errorf("fs.ErrNotExist is %t: %v", !missing, err)
			}
		})
	}
}

func TestWrongWishesAreRefused(t *testing.T) {
	files := os.DirFS(debianGRUB)
	for says, core := range map[string]Core{
		"nosuch.mod is missing":           {Modules: []string{"nosuch"}},
		"../fat\" is not a module's name": {Modules: []string{"../fat"}},
		"zero byte":                       {Config: []byte("a\x00b")},
		"zero byte ":                      {Prefix: "a\x00b"},
		"454656":                          {Config: noise(1 << 20)},
	} {
		core.Files = files
		_, err := core.Image()
		wantError(t, err, strings.TrimSpace(says))
	}
}

func TestAWrongHybridSectorIsRefused(t *testing.T) {
	for says, files := range map[string]fstest.MapFS{
		"boot_hybrid.img is missing: install the Debian package grub-pc-bin": {},
		"boot_hybrid.img is not a boot sector":                               {"boot_hybrid.img": {Data: make([]byte, 512)}},
		"is not a boot sector":                                               {"boot_hybrid.img": {Data: []byte("\x55\xaa")}},
	} {
		_, err := Core{Files: files}.HybridCode(20)
		wantError(t, err, says)
	}
}

func TestKernelsSectionsStayInTheirRoom(t *testing.T) {
	kernel := grubFiles(t, "kernel.img")["kernel.img"].Data
	table := binary.LittleEndian.Uint32(kernel[0x20:])
	text := kernel[table+40:] // the first section is no section
	for _, place := range []uint32{0x8fff, kernelEnd - 4, 0xffffffff} {
		binary.LittleEndian.PutUint32(text[12:], place)
		_, err := loadKernel(kernel)
		wantError(t, err, "section .text: its 23250 bytes at")
	}
}

func TestClosure(t *testing.T) {
	deps, err := parseDependencies([]byte("a: b c\nb: d\n\nc:d  a\nd:\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := deps.closure([]string{"e", "a", "d"}), []string{"e", "d", "c", "b", "a"}; !slices.Equal(got, want) {
		t.Errorf("the modules are %v instead of %v", got, want)
	}
}

// grubFiles are some of Debian's files, in memory.
func grubFiles(t testing.TB, names ...string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range names {
		b, err := fs.ReadFile(os.DirFS(debianGRUB), name)
		if err != nil {
			t.Fatalf("GRUB's files are not there: install the Debian package grub-pc-bin: %v", err)
		}
		files[name] = &fstest.MapFile{Data: b}
	}
	return files
}

// moved is a kernel that is linked for another place.
func moved(kernel []byte) []byte {
	kernel = bytes.Clone(kernel)
	binary.LittleEndian.PutUint32(kernel[0x18:], 0x100000)
	return kernel
}

// noise are bytes without zeros that do not compress.
func noise(n int) []byte {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x>>24) | 1
	}
	return b
}

func wantError(t testing.TB, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got error %v, want one that says %q", err, says)
	}
}
