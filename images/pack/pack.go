// Package pack makes an image ready to be streamed, and writes the files of one that is
// streamed into a directory.
//
// A pack is a zstd:chunked file. It consists of a tar stream that is divided
// into independent zstd frames, a table of contents with a digest for every
// chunk of every file, and a footer that says where the table is. Table and
// footer are skippable frames, which zstd ignores, so `zstd -dc pack | tar -x`
// works.
//
//	frame 0     tar headers and small files, about 64 KiB unpacked
//	frame 1     1 MiB of a large file
//	…
//	skippable   the table of contents: JSON, compressed        see [TOC]
//	skippable   40 bytes: where the table is, and how long     see footer.go
//
// The digest of the table identifies the pack. It covers the digests of all
// chunks, and through them every byte that is written. [Write] gives the
// same bytes for the same source, so one pack serves all machines and all
// caches.
//
// [Write] makes a pack, and [Open] reads one as an [images.Tree]. A machine
// gets a remote pack in three steps: [Fetch] gets the table, [Extract] writes
// the files, and [Verify] reads them back. These two are for Linux alone.
package pack

// FrameSize is the maximum unpacked size of a frame, and the length of a large
// file's chunks, in bytes. One worker decodes a frame, and a damaged frame is
// fetched again. So a frame is small compared to the memory, large compared to
// the cost of a request, and long enough for zstd to find repetitions.
const FrameSize = 1 << 20

// sharedFrame is how many bytes, unpacked, small files share a frame. An update fetches a
// frame where one of its files has changed. Of a Debian root with 1 % of its files changed,
// those are 1.4 % of the pack, and were 9.6 % when files shared 1 MiB; the pack is 6 %
// larger for that.
const sharedFrame = 64 << 10

// Limits for packs from untrusted places. A pack that exceeds them is refused,
// so it cannot make us use the memory that it asks for.
const (
	// maxFrame is the maximum size of a frame in bytes, packed and unpacked.
	maxFrame = 4 << 20
	// maxTOC is the maximum size of the table of contents in bytes, packed and
	// unpacked. It is enough for two million files.
	maxTOC = 1 << 30
	// maxTOCWindow is the maximum memory for decompressing the table in bytes.
	maxTOCWindow = 32 << 20
)

// Ref identifies a pack. It is all that is needed to fetch the pack safely.
type Ref struct {
	// Digest is the SHA-256 of the table of contents, e.g. "sha256:9f86d0…".
	Digest string `json:"digest"`
	// Size is the length of the whole pack in bytes.
	Size int64 `json:"size"`
}

// Info summarises the content of a pack.
type Info struct {
	Ref
	// Entries is the number of files of all types.
	Entries int `json:"entries"`
	// Bytes is the size of all regular files, including holes.
	Bytes int64 `json:"bytes"`
}
