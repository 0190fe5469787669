package boot

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"cloudlets/images"
)

// bannerStart begins the text with which every kernel greets: "Linux version
// 6.1.0-31-arm64 (debian-kernel@…) …". It is somewhere in the unpacked kernel.
const bannerStart = "Linux version "

// bannerRelease is what `uname -r` says under a kernel whose head does not tell
// it, such as an arm64 Image. It unpacks the kernel and reads up to the banner.
// It returns "" if there is none, or if the kernel is packed in a way that is
// not known here.
func bannerRelease(t images.Tree, file string) (string, error) {
	packed, err := t.Open(file)
	if err != nil {
		return "", err
	}
	defer packed.Close()
	r := &readErrors{r: packed}
	plain, err := unpackKernel(bufio.NewReaderSize(r, 64<<10))
	if err == nil {
		if release := findBanner(plain); release != "" {
			return release, nil
		}
	}
	return "", r.err
}

// readErrors keeps the error of a reader. What cannot be unpacked is no error
// here, but what cannot be read is.
type readErrors struct {
	r   io.Reader
	err error
}

func (r *readErrors) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// zbootHeader is the length in bytes of what is read of the header of a kernel
// that unpacks itself by EFI (drivers/firmware/efi/libstub/zboot-header.S): "MZ"
// at 0, "zimg" at 4, the place and the length of the packed kernel at 8 and 12,
// and the name of the compression at 24.
const zbootHeader = 56

// unpackKernel reads a kernel without its compression, at most maxKernel bytes.
func unpackKernel(r *bufio.Reader) (io.Reader, error) {
	head, _ := r.Peek(zbootHeader) // a shorter file has no such header
	form := ""
	switch {
	case isGzip(head):
		form = "gzip"
	case len(head) == zbootHeader && string(head[:2]) == "MZ" && string(head[4:8]) == "zimg":
		name, _, _ := bytes.Cut(head[24:], []byte{0})
		form = string(name)
		at, size := binary.LittleEndian.Uint32(head[8:]), binary.LittleEndian.Uint32(head[12:])
		if _, err := io.CopyN(io.Discard, r, int64(at)); err != nil {
			return nil, err
		}
		r = bufio.NewReader(io.LimitReader(r, int64(size)))
	}
	plain, err := kernelDecoder(form, r)
	if err != nil {
		return nil, err
	}
	return io.LimitReader(plain, maxKernel), nil
}

// maxWindow bounds the memory in bytes for unpacking a kernel.
const maxWindow = 128 << 20

func kernelDecoder(form string, r io.Reader) (io.Reader, error) {
	switch form {
	case "":
		return r, nil
	case "gzip":
		return gzip.NewReader(r)
	case "zstd":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	case "xz", "xzkern":
		return xz.NewReader(r)
	}
	return nil, errors.ErrUnsupported
}

// findBanner is the release in the first banner that a reader has, or "".
func findBanner(r io.Reader) string {
	const keep = len(bannerStart) + maxRelease + 1
	buffer, have := make([]byte, 256<<10), 0
	for {
		n, err := r.Read(buffer[have:])
		have += n
		if release := bannerIn(buffer[:have], err != nil); release != "" || err != nil {
			return release
		}
		if have > len(buffer)/2 {
			have = copy(buffer, buffer[have-keep:have])
		}
	}
}

// bannerIn is the release in the first banner of a text. If the text goes on, a
// banner at its very end is left for later.
func bannerIn(text []byte, end bool) string {
	for {
		_, rest, found := bytes.Cut(text, []byte(bannerStart))
		if !found {
			return ""
		}
		release, _, whole := strings.Cut(string(rest[:min(len(rest), maxRelease+1)]), " ")
		if (whole || end) && isRelease(release) {
			return release
		}
		text = rest
	}
}

func isRelease(s string) bool {
	return len(s) <= maxRelease && isDigit(s) && !strings.ContainsFunc(s, notInRelease)
}
