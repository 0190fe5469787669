package tarball

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
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
	if len(head) < blockSize {
		return "", fmt.Errorf("there are only %d bytes of it, fewer than the first header of a tarball has: it is none, or it was cut short: %w", len(head), io.ErrUnexpectedEOF)
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
	looks  func(head []byte) bool // tells a kind that has no mark
}

func (f *foreignFormat) is(head []byte) bool {
	if f.looks != nil {
		return f.looks(head)
	}
	return len(head) >= f.at && bytes.HasPrefix(head[f.at:], []byte(f.mark))
}

// What to do with files that are not read.
const (
	mountIt   = "mount it and give the folder"
	convertIt = "mount its root partition, as guestmount and qemu-nbd do, and give the folder"
)

// looksLikeLZMA says whether a file begins with a header of lzma-alone, which has no mark. As
// XZ Utils does, it takes those alone whose dictionary has a size of 2^n or 2^n + 2^(n-1) bytes,
// and whose content, if its size is known, has less than 256 GiB. The range coder's first byte is 0.
func looksLikeLZMA(head []byte) bool {
	if len(head) < 14 || head[0] >= 9*5*5 || head[13] != 0 {
		return false
	}
	dictionary, size := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint64(head[5:])
	rest := dictionary >> bits.TrailingZeros32(dictionary)
	return dictionary >= 4<<10 && (rest == 1 || rest == 3) && (size == math.MaxUint64 || size < 256<<30)
}

func unpackWith(command string) string {
	return "unpack it with \"" + command + "\" first, and give the folder"
}

func decompressWith(command string) string { return "unpack it with \"" + command + "\" first" }

// foreign lists the kinds by their marks. The certain marks are first.
var foreign = []foreignFormat{
	{name: "a squashfs image", mark: "hsqs", remedy: unpackWith("unsquashfs")},
	{name: "an old squashfs image", mark: "sqsh", remedy: unpackWith("unsquashfs")},
	{name: "an EROFS image", at: 1024, mark: "\xe2\xe1\xf5\xe0", remedy: unpackWith("fsck.erofs --extract=DIR")},
	{name: "a cpio archive", mark: "070701", remedy: unpackWith("cpio -id")},
	{name: "a cpio archive", mark: "070702", remedy: unpackWith("cpio -id")},
	{name: "a cpio archive", mark: "070707", remedy: unpackWith("cpio -id")},
	{name: "an ISO image", at: 32769, mark: "CD001", remedy: unpackWith("bsdtar -x") + "; if that holds another image, give that one"},
	{name: "an ext2, ext3 or ext4 filesystem", at: 1080, mark: "\x53\xef", remedy: mountIt},
	{name: "an XFS filesystem", mark: "XFSB", remedy: mountIt},
	{name: "a Btrfs filesystem", at: 65600, mark: "_BHRfS_M", remedy: mountIt},
	{name: "an F2FS filesystem", at: 1024, mark: "\x10\x20\xf5\xf2", remedy: mountIt},
	{name: "a LUKS volume", mark: "LUKS\xba\xbe", remedy: "open it with cryptsetup, mount it and give the folder"},
	{name: "an LVM volume", at: 512, mark: "LABELONE", remedy: "activate it with vgchange, mount it and give the folder"},
	{name: "a qcow2 disk image", mark: "QFI\xfb", remedy: convertIt},
	{name: "a VMDK disk image", mark: "KDMV", remedy: convertIt},
	{name: "a VMDK disk image", mark: "COWD", remedy: convertIt},
	{name: "the description of a VMDK disk image", mark: "# Disk DescriptorFile", remedy: convertIt},
	{name: "a VHD disk image", mark: "conectix", remedy: convertIt},
	{name: "a VHDX disk image", mark: "vhdxfile", remedy: convertIt},
	{name: "a VDI disk image", at: 64, mark: "\x7f\x10\xda\xbe", remedy: convertIt},
	{name: "a WIM image", mark: "MSWIM\x00\x00\x00", remedy: unpackWith("wimlib-imagex apply")},
	{name: "a zip archive", mark: "PK\x03\x04", remedy: unpackWith("unzip") + "; zip keeps neither owners nor devices"},
	{name: "an empty zip archive", mark: "PK\x05\x06", remedy: "make it again"},
	{name: "a 7z archive", mark: "7z\xbc\xaf\x27\x1c", remedy: unpackWith("7z x") + "; 7z keeps neither owners nor devices"},
	{name: "a rar archive", mark: "Rar!\x1a\x07", remedy: unpackWith("unrar x")},
	{name: "a cabinet file", mark: "MSCF\x00\x00\x00\x00", remedy: unpackWith("cabextract")},
	{name: "a xar archive", mark: "xar!", remedy: unpackWith("bsdtar -x")},
	{name: "an LHA archive", at: 2, mark: "-lh", remedy: unpackWith("bsdtar -x") + "; LHA keeps no devices"},
	{name: "a WARC file of web pages", mark: "WARC/", remedy: "give the image itself"},
	{name: "a list of files of mtree", mark: "#mtree", remedy: "give the files themselves"},
	{name: "a Debian package", mark: "!<arch>\ndebian-binary", remedy: unpackWith("dpkg-deb -x")},
	{name: "an ar archive", mark: "!<arch>\n", remedy: unpackWith("ar x")},
	{name: "an RPM package", mark: "\xed\xab\xee\xdb", remedy: unpackWith("rpm2cpio FILE | cpio -id")},
	{name: "a file compressed with compress", mark: "\x1f\x9d", remedy: decompressWith("gzip -d")},
	{name: "a file compressed with pack", mark: "\x1f\x1e", remedy: decompressWith("gzip -d")},
	{name: "a file compressed with lz4", mark: "\x04\x22\x4d\x18", remedy: decompressWith("lz4 -d")},
	{name: "a file compressed with lz4", mark: "\x02\x21\x4c\x18", remedy: decompressWith("lz4 -d")},
	{name: "a file compressed with lzip", mark: "LZIP", remedy: decompressWith("lzip -d")},
	{name: "a file compressed with lzop", mark: "\x89LZO\x00\r\n\x1a\n", remedy: decompressWith("lzop -d")},
	{name: "a file compressed with lrzip", mark: "LRZI", remedy: decompressWith("lrzip -d")},
	{name: "a file compressed with grzip", mark: "GRZipII\x00", remedy: decompressWith("grzip -d")},
	{name: "a pointer of Git LFS", mark: "version https://git-lfs", remedy: "fetch the file itself with \"git lfs pull\""},
	{name: "a web page", mark: "<!DOCTYPE", remedy: "look into it, since a download may have failed"},
	{name: "a web page", mark: "<!doctype", remedy: "look into it, since a download may have failed"},
	{name: "a web page", mark: "<html", remedy: "look into it, since a download may have failed"},
	{name: "a program", mark: "\x7fELF", remedy: "give the image itself"},
	{name: "a program or a kernel", mark: "MZ", remedy: "give the image itself"},
	{name: "a disk image with a partition table", at: 512, mark: "EFI PART", remedy: convertIt},
	{name: "a file compressed with lzma", looks: looksLikeLZMA, remedy: decompressWith("xz -d --format=lzma")},
	{name: "a disk image or a FAT filesystem", at: 510, mark: "\x55\xaa", remedy: convertIt},
	{name: "a cpio archive", mark: "\xc7\x71", remedy: unpackWith("cpio -id")},
	{name: "a cpio archive", mark: "\x71\xc7", remedy: unpackWith("cpio -id")},
}
