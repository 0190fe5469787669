package tarball

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"
)

// headSize is how many of a file's first bytes may be looked at to tell what it
// is. The mark of Btrfs is the last.
const headSize = 68 << 10

// ErrEmpty is the error for data that has no bytes, or no bytes when unpacked.
var ErrEmpty = fmt.Errorf("it is empty: %w", io.ErrUnexpectedEOF)

// recognise looks at the first bytes of a file, and names what it is compressed
// with, if anything. What is known to be something other than a tarball is an
// error that says so, and what to do. peek is [bufio.Reader.Peek].
func recognise(peek func(int) ([]byte, error)) (compression string, err error) {
	head, err := peek(blockSize)
	switch {
	case len(head) == 0 && (err == nil || errors.Is(err, io.EOF)):
		return "", ErrEmpty
	case len(head) == 0:
		return "", err
	case isHeader(head):
		return "", nil
	}
	if compression := compressionOf(head); compression != "" {
		return compression, nil
	}
	head, _ = peek(headSize) // what cannot be read is an error when it is read
	for _, f := range foreign {
		if f.is(head) {
			return "", fmt.Errorf("it is %s, not a tarball: %s", f.name, f.remedy)
		}
	}
	return "", nil
}

// isHeader says whether a block has the checksum of a tar header.
func isHeader(block []byte) bool {
	if len(block) < blockSize {
		return false
	}
	text := strings.Trim(string(checksumField.of(block)), " \x00")
	want, err := strconv.ParseInt(text, 8, 64)
	if err != nil {
		return false
	}
	unsigned, signed := checksums(block)
	return want == unsigned || want == signed
}

// checksums adds up a header's bytes, with blanks for the checksum itself. Old
// tools took bytes for signed. Every file has a header or two, so this adds eight
// bytes at a time: four sums of 16 bits have room for a block's bytes.
func checksums(block []byte) (unsigned, signed int64) {
	const lanes = 0x00ff00ff00ff00ff
	var sums uint64
	large := 0 // bytes that are negative if they are signed
	for rest := block[:blockSize]; len(rest) >= 8; rest = rest[8:] {
		word := binary.LittleEndian.Uint64(rest)
		sums += word&lanes + word>>8&lanes
		large += bits.OnesCount64(word & 0x8080808080808080)
	}
	for ; sums > 0; sums >>= 16 {
		unsigned += int64(sums & 0xffff)
	}
	for _, b := range checksumField.of(block) {
		unsigned += ' ' - int64(b)
		large -= int(b >> 7)
	}
	return unsigned, unsigned - 256*int64(large)
}

// foreignFormat is a kind of file that is not read.
type foreignFormat struct {
	name   string // with its article
	at     int    // where its mark is
	mark   string
	remedy string
}

func (f *foreignFormat) is(head []byte) bool {
	return len(head) >= f.at && bytes.HasPrefix(head[f.at:], []byte(f.mark))
}

// What to do with files that are not read.
const (
	mountIt   = "mount it and give the folder"
	convertIt = "mount its root partition, as guestmount and qemu-nbd do, and give the folder"
)

func unpackWith(command string) string {
	return "unpack it with \"" + command + "\" first, and give the folder"
}

func decompressWith(command string) string { return "unpack it with \"" + command + "\" first" }

// foreign lists the kinds by their marks. The certain marks are first.
var foreign = []foreignFormat{
	{"a squashfs image", 0, "hsqs", unpackWith("unsquashfs")},
	{"an old squashfs image", 0, "sqsh", unpackWith("unsquashfs")},
	{"an EROFS image", 1024, "\xe2\xe1\xf5\xe0", unpackWith("fsck.erofs --extract=DIR")},
	{"a cpio archive", 0, "070701", unpackWith("cpio -id")},
	{"a cpio archive", 0, "070702", unpackWith("cpio -id")},
	{"a cpio archive", 0, "070707", unpackWith("cpio -id")},
	{"an ISO image", 32769, "CD001", unpackWith("bsdtar -x") + "; if that holds another image, give that one"},
	{"an ext2, ext3 or ext4 filesystem", 1080, "\x53\xef", mountIt},
	{"an XFS filesystem", 0, "XFSB", mountIt},
	{"a Btrfs filesystem", 65600, "_BHRfS_M", mountIt},
	{"an F2FS filesystem", 1024, "\x10\x20\xf5\xf2", mountIt},
	{"a LUKS volume", 0, "LUKS\xba\xbe", "open it with cryptsetup, mount it and give the folder"},
	{"an LVM volume", 512, "LABELONE", "activate it with vgchange, mount it and give the folder"},
	{"a qcow2 disk image", 0, "QFI\xfb", convertIt},
	{"a VMDK disk image", 0, "KDMV", convertIt},
	{"a VMDK disk image", 0, "COWD", convertIt},
	{"the description of a VMDK disk image", 0, "# Disk DescriptorFile", convertIt},
	{"a VHD disk image", 0, "conectix", convertIt},
	{"a VHDX disk image", 0, "vhdxfile", convertIt},
	{"a VDI disk image", 64, "\x7f\x10\xda\xbe", convertIt},
	{"a WIM image", 0, "MSWIM\x00\x00\x00", unpackWith("wimlib-imagex apply")},
	{"a zip archive", 0, "PK\x03\x04", unpackWith("unzip") + "; zip keeps neither owners nor devices"},
	{"an empty zip archive", 0, "PK\x05\x06", "make it again"},
	{"a 7z archive", 0, "7z\xbc\xaf\x27\x1c", unpackWith("7z x") + "; 7z keeps neither owners nor devices"},
	{"a rar archive", 0, "Rar!\x1a\x07", unpackWith("unrar x")},
	{"a cabinet file", 0, "MSCF\x00\x00\x00\x00", unpackWith("cabextract")},
	{"a xar archive", 0, "xar!", unpackWith("bsdtar -x")},
	{"a Debian package", 0, "!<arch>\ndebian-binary", unpackWith("dpkg-deb -x")},
	{"an ar archive", 0, "!<arch>\n", unpackWith("ar x")},
	{"an RPM package", 0, "\xed\xab\xee\xdb", unpackWith("rpm2cpio FILE | cpio -id")},
	{"a file compressed with compress", 0, "\x1f\x9d", decompressWith("gzip -d")},
	{"a file compressed with pack", 0, "\x1f\x1e", decompressWith("gzip -d")},
	{"a file compressed with lz4", 0, "\x04\x22\x4d\x18", decompressWith("lz4 -d")},
	{"a file compressed with lz4", 0, "\x02\x21\x4c\x18", decompressWith("lz4 -d")},
	{"a file compressed with lzip", 0, "LZIP", decompressWith("lzip -d")},
	{"a file compressed with lzop", 0, "\x89LZO\x00\r\n\x1a\n", decompressWith("lzop -d")},
	{"a file compressed with lrzip", 0, "LRZI", decompressWith("lrzip -d")},
	{"a file compressed with lzma", 0, "\x5d\x00\x00", decompressWith("xz -d --format=lzma")},
	{"a pointer of Git LFS", 0, "version https://git-lfs", "fetch the file itself with \"git lfs pull\""},
	{"a web page", 0, "<!DOCTYPE", "look into it, since a download may have failed"},
	{"a web page", 0, "<!doctype", "look into it, since a download may have failed"},
	{"a web page", 0, "<html", "look into it, since a download may have failed"},
	{"a program", 0, "\x7fELF", "give the image itself"},
	{"a disk image with a partition table", 512, "EFI PART", convertIt},
	{"a disk image or a FAT filesystem", 510, "\x55\xaa", convertIt},
	{"a cpio archive", 0, "\xc7\x71", unpackWith("cpio -id")},
	{"a cpio archive", 0, "\x71\xc7", unpackWith("cpio -id")},
}
