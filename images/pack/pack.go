// Package pack makes an image ready to stream, and puts it onto a disk.
//
// A pack is a zstd:chunked file: a tar stream cut into independent zstd
// frames, a table of contents with a digest for every chunk of every file, and
// a footer that tells where the table is. Table and footer are skippable
// frames, so `zstd -dc pack | tar -x` knows nothing of them and works.
//
//	frame 0     tar headers and small files, at most [FrameSize] bytes unpacked
//	frame 1     1 MiB of a large file
//	…
//	skippable   the table of contents: JSON, compressed        see [TOC]
//	skippable   40 bytes: where the table is, and how long     see footer.go
//
// The table's digest identifies the pack: it covers the digests of all chunks,
// and through them every byte that reaches a disk. [Write] gives the same
// bytes for the same source, so one pack serves all machines and all caches.
//
// [Write] makes a pack and [Open] reads one as an [images.Tree]. A machine
// takes one from afar in three steps: [Fetch] the table, [Extract] the files,
// [Verify] what the disk says it holds.
package pack

// FrameSize is the most that a frame holds unpacked, and the length of a large
// file's chunks, in bytes. A frame is what is fetched again after damage and
// what one worker decodes, so it is small against memory, large against the
// cost of a request, and long enough for zstd to find what repeats.
const FrameSize = 1 << 20

// Limits for packs from elsewhere: beyond them a pack is refused rather than
// given the memory that it asks for.
const (
	// maxFrame bounds a frame, packed and unpacked, in bytes.
	maxFrame = 4 << 20
	// maxTOC bounds the table of contents, packed and unpacked, in bytes: two
	// million files.
	maxTOC = 1 << 30
	// maxTOCWindow bounds what decompressing the table keeps in memory.
	maxTOCWindow = 32 << 20
)

// Ref names a pack: all that must be known of one to fetch it safely.
type Ref struct {
	// Digest is the SHA-256 of the table of contents, "sha256:9f86d0…".
	Digest string `json:"digest"`
	// Size is the length of the whole pack in bytes.
	Size int64 `json:"size"`
}

// Info is what a pack holds.
type Info struct {
	Ref
	// Entries counts the files of every type.
	Entries int `json:"entries"`
	// Bytes is the content of all regular files, holes included.
	Bytes int64 `json:"bytes"`
}
