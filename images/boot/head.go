package boot

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"

	"cloudlets/images"
)

// kernelHead is how much of a kernel is read, in bytes. The version of an x86
// kernel is within the first 64 KiB after its boot sector.
const kernelHead = 66 << 10

// readHead reads the head of a kernel of a tree.
func readHead(t images.Tree, file string) ([]byte, error) {
	r, err := t.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return headOf(r)
}

// headOf reads the first kernelHead bytes, or all if there are fewer. A kernel
// that is compressed by gzip, as those for arm64 often are, is unpacked.
func headOf(r io.Reader) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(r, kernelHead))
	if err != nil || !isGzip(head) {
		return head, err
	}
	unpacked, err := gzip.NewReader(io.MultiReader(bytes.NewReader(head), r))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(unpacked, kernelHead))
}

// isX86 says whether a kernel has the header of the x86 boot protocol.
func isX86(head []byte) bool { return len(head) >= 0x210 && string(head[0x202:0x206]) == "HdrS" }

// maxRelease is the longest release of a kernel: __NEW_UTS_LEN.
const maxRelease = 64

// kernelRelease is what `uname -r` says under a kernel, read from its head, or
// "" if that does not tell. The header of the x86 boot protocol has the place
// of a text that begins with it, less 0x200, at 0x20e
// (Documentation/arch/x86/boot.rst).
func kernelRelease(head []byte) string {
	if !isX86(head) {
		return ""
	}
	at := int(binary.LittleEndian.Uint16(head[0x20e:]))
	if at == 0 || at+0x200 >= len(head) {
		return ""
	}
	text, _, found := bytes.Cut(head[at+0x200:], []byte{0})
	release, _, _ := strings.Cut(string(text), " ")
	if !found || !isRelease(release) {
		return ""
	}
	return release
}

func notInRelease(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._+-~", r)
}
