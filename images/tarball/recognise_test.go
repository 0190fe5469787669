//go:build linux

package tarball

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

// TestOtherFilesAreNamed gives what people have instead of tarballs, made by
// the tools themselves. None is read as half an image, and each is told what it
// is and what to do, whatever its name, compressed or not.
func TestOtherFilesAreNamed(t *testing.T) {
	root := t.TempDir()
	imagetest.Must(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755), os.WriteFile(filepath.Join(root, "etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o644))
	plain := imagetest.WriteTemp(t, archive(t, entry('0', "x", "")))
	for _, tt := range []struct {
		pkg, command string // of the shell: $OUT is the file to make, $ROOT a tree, $TAR a tarball
		want, remedy string
	}{
		{"squashfs-tools", "mksquashfs $ROOT $OUT -quiet -no-progress", "a squashfs image", "unsquashfs"},
		{"erofs-utils", "mkfs.erofs $OUT $ROOT", "an EROFS image", "fsck.erofs"},
		{"e2fsprogs", "mke2fs -q -t ext4 -d $ROOT $OUT 4M", "an ext2, ext3 or ext4 filesystem", "mount it"},
		{"btrfs-progs", "truncate -s 120M $OUT && mkfs.btrfs -q $OUT", "a Btrfs filesystem", "mount it"},
		{"xorriso", "xorriso -as mkisofs -quiet -o $OUT $ROOT", "an ISO image", "bsdtar -x"},
		{"dosfstools", "truncate -s 2M $OUT && mkfs.fat $OUT", "a disk image or a FAT filesystem", "guestmount"},
		{"gdisk", "truncate -s 4M $OUT && sgdisk -n 1 $OUT", "a disk image with a partition table", "guestmount"},
		{"qemu-utils", "qemu-img create -f qcow2 $OUT 1M", "a qcow2 disk image", "qemu-nbd"},
		{"qemu-utils", "qemu-img create -f vmdk $OUT 1M", "a VMDK disk image", "qemu-nbd"},
		{"qemu-utils", "qemu-img create -f vdi $OUT 1M", "a VDI disk image", "qemu-nbd"},
		{"qemu-utils", "qemu-img create -f vhdx $OUT 1M", "a VHDX disk image", "qemu-nbd"},
		{"cpio", "cd $ROOT && find . | cpio -o -H newc >$OUT", "a cpio archive", "cpio -id"},
		{"cpio", "cd $ROOT && find . | cpio -o -H crc >$OUT", "a cpio archive", "cpio -id"},
		{"cpio", "cd $ROOT && find . | cpio -o -H odc >$OUT", "a cpio archive", "cpio -id"},
		{"cpio", "cd $ROOT && find . | cpio -o -H bin >$OUT", "a cpio archive", "cpio -id"},
		{"libarchive-tools", "bsdtar --format zip -cf $OUT -C $ROOT .", "a zip archive", "unzip"},
		{"7zip", "7zz a -t7z $OUT.7z $ROOT && mv $OUT.7z $OUT", "a 7z archive", "7z x"},
		{"libarchive-tools", "bsdtar --format xar -cf $OUT -C $ROOT .", "a xar archive", "bsdtar -x"},
		{"dpkg", "mkdir -p $ROOT/DEBIAN && printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: m <m@m>\\nDescription: d\\n' >$ROOT/DEBIAN/control && dpkg-deb -b $ROOT $OUT && rm -r $ROOT/DEBIAN",
			"a Debian package", "dpkg-deb -x"},
		{"libarchive-tools", "cd $ROOT/etc && bsdtar --format arsvr4 -cf $OUT hosts", "an ar archive", "ar x"},
		{"libarchive-tools", "bsdtar -cZf $OUT -C $ROOT .", "a file compressed with compress", "gzip -d"},
		{"libarchive-tools", "bsdtar -c --lz4 -f $OUT -C $ROOT .", "a file compressed with lz4", "lz4 -d"},
		{"libarchive-tools", "bsdtar -c --lzma -f $OUT -C $ROOT .", "a file compressed with lzma", "xz -d --format=lzma"},
		{"xz-utils", "xz --format=lzma -c $TAR >$OUT", "a file compressed with lzma", "xz -d --format=lzma"},
		{"libarchive-tools", "bsdtar -c --lzip -f $OUT -C $ROOT .", "a file compressed with lzip", "lzip -d"},
		{"coreutils", "head -c 1024 /dev/zero >$OUT && echo something >>$OUT", "it is not a tarball", "mount it"},
		{"coreutils", "truncate -s 65M $OUT", "it is not a tarball", "mount it"},
		{"coreutils", "printf '<!DOCTYPE html><title>404' >$OUT", "a web page", "download"},
		{"coreutils", "printf 'Rar!\\032\\007\\001\\000' >$OUT", "a rar archive", "unrar"},
		{"coreutils", "printf '\\355\\253\\356\\333\\003\\000' >$OUT", "an RPM package", "rpm2cpio"},
		{"coreutils", "head -c 3000 /dev/urandom | tr '\\0-\\377' 'a-za-z' >$OUT", "it is not a tarball, or its beginning is damaged", ""},
	} {
		t.Run(tt.want, func(t *testing.T) {
			tool := tt.command[:strings.IndexByte(tt.command, ' ')]
			if words := strings.Fields(tt.command); tool == "cd" || tool == "truncate" || tool == "mkdir" {
				tool = words[slices.Index(words, "&&")+1]
			}
			if tool != "printf" && tool != "find" {
				needs.Tool(t, tool, tt.pkg)
			}
			file := filepath.Join(t.TempDir(), "image.tar")
			cmd := exec.Command("sh", "-ec", tt.command)
			cmd.Env = append(os.Environ(), "OUT="+file, "ROOT="+root, "TAR="+plain)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", tt.command, err, out)
			}
			data, err := os.ReadFile(file)
			imagetest.Must(t, err)
			for form, s := range map[string]*Tarball{"file": New(file), "stream": inMemory(t, data), "packed": inMemory(t, compressed(t, "gzip", "gzip", bytes.NewReader(data)))} {
				got, err := imagetest.Visited(s)
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.remedy) || got != "" {
					t.Errorf("%s: visits %q, error %v; want %q and %q", form, got, err, tt.want, tt.remedy)
				}
			}
		})
	}
}

// TestTarsThatLookLikeOtherFiles reads tarballs whose first name is another
// kind's mark.
func TestTarsThatLookLikeOtherFiles(t *testing.T) {
	for _, f := range foreign {
		if f.looks != nil || f.at > 0 || strings.ContainsAny(f.mark, "\x00/") || len(f.mark) > 0 && f.mark[0] == '<' {
			continue
		}
		data := archive(t, entry('0', "x", ""))
		clear(nameField.of(data))
		nameField.putText(data, f.mark)
		putChecksum(data[:blockSize])
		if _, err := imagetest.Visited(inMemory(t, data)); err != nil {
			t.Errorf("a file called %q: %v", f.mark, err)
		}
	}
	// What an EROFS image or a disk has where it says what it is, a file may have.
	data := archive(t, entry('0', "x", ""))
	binary.LittleEndian.PutUint32(data[blockSize:], 0xe0f5e1e2)
	if got, err := imagetest.Visited(inMemory(t, data)); got != "/ /x" || err != nil {
		t.Errorf("visits %q, %v", got, err)
	}
}
