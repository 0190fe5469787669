package depot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloudlets/images/atomicfile"
	"cloudlets/images/bytesize"
)

// keepUnused is how long a file stays after its last use if no kit needs it any
// more, since a machine may still be reading it.
const keepUnused = 24 * time.Hour

// Path returns the path of the file with a digest, whether the file exists or
// not. If the text is not a digest, no file has the path that Path returns.
func (d *Depot) Path(digest string) string {
	if !isDigest(digest) {
		return filepath.Join(d.dir, "files", "none")
	}
	return filepath.Join(d.dir, "files", strings.TrimPrefix(digest, algorithm))
}

// algorithm begins each digest.
const algorithm = "sha256:"

// isDigest says whether a text is a digest. It is asked for each download.
func isDigest(text string) bool {
	sum, ok := strings.CutPrefix(text, algorithm)
	return ok && len(sum) == 2*sha256.Size && strings.Trim(sum, "0123456789abcdef") == ""
}

// has says whether a file is there and has its full length.
func (d *Depot) has(f File) bool {
	info, err := os.Stat(d.Path(f.Digest))
	return err == nil && info.Size() == f.Size
}

// intact says whether a file matches its digest. Kernels and RAM disks need this
// check, since firmware does not verify what it fetches.
func (d *Depot) intact(f File) bool {
	file, err := os.Open(d.Path(f.Digest))
	if err != nil {
		return false
	}
	defer file.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	return err == nil && f.Digest == "sha256:"+hex.EncodeToString(hash.Sum(nil))
}

// put keeps what write writes. The file's digest is the one that write returns,
// or that of the bytes if write returns "". The file appears under its name
// only when it is complete and on the disk.
func (d *Depot) put(write func(w io.Writer) (digest string, err error)) (file File, err error) {
	temp, err := atomicfile.Create(filepath.Join(d.dir, "files"), 0o644)
	if err != nil {
		return File{}, err
	}
	defer func() { err = errors.Join(err, temp.Discard()) }()
	hash, count := sha256.New(), &counter{}
	digest, err := write(io.MultiWriter(&roomKeeper{w: temp, dir: d.dir, free: d.free}, hash, count))
	if err = errors.Join(err, temp.Chmod(0o644)); err != nil {
		return File{}, err
	}
	if digest == "" {
		digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	}
	if err := temp.Commit(filepath.Base(d.Path(digest))); err != nil {
		return File{}, fmt.Errorf("keep a file in the depot: %w", err)
	}
	return File{Digest: digest, Size: count.n}, nil
}

const (
	// reserve is how many bytes packing leaves free: the server's state is in
	// the same folder, and must not lack room because of a pack.
	reserve = 64 << 20
	// roomStep is after how many bytes the room that is left is looked at.
	roomStep = 8 << 20
)

// roomKeeper fails before too little room is left for the server's state.
type roomKeeper struct {
	w     io.Writer
	dir   string
	free  func(dir string) (int64, error)
	check int64 // bytes until the next look
}

func (k *roomKeeper) Write(b []byte) (int, error) {
	if k.check -= int64(len(b)); k.check < 0 {
		k.check = roomStep
		free, err := k.free(k.dir)
		if err == nil && free < reserve+roomStep {
			err = fmt.Errorf("keep a file in %s: only %s are free there, and the server's state needs %s: make room, or name another folder with --state", k.dir, bytesize.Decimal(free), bytesize.Decimal(reserve+roomStep))
		}
		if err != nil {
			return 0, err
		}
	}
	return k.w.Write(b)
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

// record returns the path of the memo of a key.
func (d *Depot) record(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(d.dir, "memo", hex.EncodeToString(sum[:])+".json")
}

// memo returns what was made before from the inputs that key describes, or else
// calls build and records the result, so that it outlives a restart. It uses a
// record only if good is true of its file. The key must contain the version of
// the file's format.
func memo[T any](d *Depot, key string, good func(File) bool, file func(T) File, build func() (T, error)) (T, error) {
	name := d.record(key)
	var known T
	if text, err := os.ReadFile(name); err == nil && json.Unmarshal(text, &known) == nil && good(file(known)) {
		d.touch(file(known))
		return known, nil
	}
	made, err := build()
	if err != nil {
		return made, err
	}
	text, err := json.Marshal(made)
	if err != nil {
		return made, err
	}
	return made, atomicfile.Write(name, 0o600, atomicfile.Text(text))
}

// touch records that a file is in use now. See sweep.
func (d *Depot) touch(f File) {
	now := time.Now()
	_ = os.Chtimes(d.Path(f.Digest), now, now)
}

// Keep keeps the file with a digest as one that is in use, and returns false if it is
// not there any more.
func (d *Depot) Keep(digest string) bool {
	now := time.Now()
	return isDigest(digest) && os.Chtimes(d.Path(digest), now, now) == nil
}

// sweep removes the files that are in no kit and were not used for keepUnused.
// These include what an interrupted run has left. It also removes the records
// of files that are gone. It must not run while kits are still to be made,
// since they may need the files.
func (d *Depot) sweep() {
	used := map[string]bool{}
	d.mu.Lock()
	d.forgetRemoved()
	for _, s := range d.kits {
		for _, f := range s.Kit.files() {
			used[filepath.Base(d.Path(f.Digest))] = true
		}
	}
	d.mu.Unlock()
	removeIf(filepath.Join(d.dir, "files"), func(info fs.FileInfo) bool {
		return !used[info.Name()] && time.Since(info.ModTime()) >= keepUnused
	})
	removeIf(filepath.Join(d.dir, "memo"), func(info fs.FileInfo) bool {
		return time.Since(info.ModTime()) >= keepUnused && !d.recordsAFile(info.Name())
	})
}

// forgetRemoved forgets the kits of images that the site no longer has. The
// caller must hold mu.
func (d *Depot) forgetRemoved() {
	for key, s := range d.kits {
		if _, there := d.finder.ImagePath(key.Image); !there && !s.Busy {
			delete(d.kits, key)
			if l := d.looks[key.Image]; l != nil && !l.recent() { // nobody waits for it
				delete(d.looks, key.Image)
			}
		}
	}
}

// recordsAFile says whether a memo's file is there.
func (d *Depot) recordsAFile(name string) bool {
	var f File
	text, err := os.ReadFile(filepath.Join(d.dir, "memo", name))
	return err == nil && json.Unmarshal(text, &f) == nil && d.has(f)
}

func removeIf(dir string, unwanted func(fs.FileInfo) bool) {
	names, _ := os.ReadDir(dir)
	for _, entry := range names {
		if info, err := entry.Info(); err == nil && unwanted(info) {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// same says whether a kit has the same files as another one.
func (k *Kit) same(other *Kit) bool {
	return k != nil && k.Pack == other.Pack && k.Kernel == other.Kernel && k.RAMDisk == other.RAMDisk && k.Unified == other.Unified && k.Root == other.Root &&
		maps.Equal(k.Loaders, other.Loaders)
}

// files returns all files of a kit. It returns none if the kit is nil.
func (k *Kit) files() []File {
	if k == nil {
		return nil
	}
	list := []File{k.Pack, k.Kernel, k.RAMDisk}
	if k.Key.Live {
		list = append(list, k.Root.File, k.Root.Chunks)
	}
	if k.Key.Server != "" {
		list = append(list, k.Unified)
	}
	for _, f := range k.Loaders {
		list = append(list, f)
	}
	return list
}
