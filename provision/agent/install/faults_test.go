package install

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/provision"
)

// newFaultBed is a bed with a disk of its own.
func newFaultBed(t *testing.T) (*bed, *loopDisk) {
	t.Helper()
	b := newBed(t)
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	return b, d
}

// isStream tells the request for the pack's content from those for its table.
func isStream(r *http.Request) bool {
	from, to := rangeOf(r)
	return r.URL.Path == "/pack" && to-from > largeSize/2
}

// sendHalf answers with the first half of what was asked for.
func sendHalf(w http.ResponseWriter, r *http.Request, blob []byte) {
	from, to := rangeOf(r)
	w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(to)+"/"+strconv.Itoa(len(blob)))
	w.Header().Set("Content-Length", strconv.Itoa(to+1-from))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(blob[from : (from+to)/2])
	_ = http.NewResponseController(w).Flush()
}

// wantInstalled looks at the finished disk.
func (b *bed) wantInstalled(t *testing.T, d *loopDisk, result Result) {
	t.Helper()
	if got, err := os.ReadFile(b.job.Target + "/srv/large"); err != nil || !bytes.Equal(got, noise(3, largeSize)) {
		t.Errorf("the large file has %d bytes, and is not what it was (%v)", len(got), err)
	}
	wantOverlay(t, b.job.Target)
	if err := Unmount(b.job.Target); err != nil {
		t.Fatal(err)
	}
	wantSoundDisk(t, d, result)
}

func TestInstallGoesOnWhereTheConnectionWasCut(t *testing.T) {
	b, d := newFaultBed(t)
	var cuts atomic.Int32
	var resumed atomic.Int64
	b.server.before = func(w http.ResponseWriter, r *http.Request, blob []byte) bool {
		if isStream(r) && cuts.Add(1) == 1 {
			sendHalf(w, r, blob)
			panic(http.ErrAbortHandler)
		}
		if from, _ := rangeOf(r); r.URL.Path == "/pack" && cuts.Load() > 0 && resumed.Load() == 0 {
			resumed.Store(int64(from))
		}
		return false
	}
	result := b.install(t)
	if from := resumed.Load(); from < largeSize/4 {
		t.Errorf("after the cut the stream went on at byte %d: it began anew", from)
	}
	b.wantInstalled(t, d, result)
}

func TestInstallOutlivesARestartOfTheServer(t *testing.T) {
	b, d := newFaultBed(t)
	half, begun := make(chan struct{}), atomic.Bool{}
	b.server.before = func(w http.ResponseWriter, r *http.Request, blob []byte) bool {
		if !isStream(r) || begun.Swap(true) {
			return false
		}
		sendHalf(w, r, blob)
		close(half)
		<-r.Context().Done() // the server is killed
		return true
	}
	ended := make(chan error, 1)
	var result Result
	go func() {
		var err error
		result, err = Run(t.Context(), b.job)
		ended <- err
	}()
	select {
	case <-half:
	case err := <-ended:
		t.Fatalf("ended before the stream: %v", err)
	}
	b.server.stop()
	b.server.start(t)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b.wantInstalled(t, d, result)
}

func TestInstallFetchesADamagedFrameAgain(t *testing.T) {
	b, d := newFaultBed(t)
	var streams atomic.Int32
	b.server.before = func(w http.ResponseWriter, r *http.Request, blob []byte) bool {
		if !isStream(r) || streams.Add(1) > 1 {
			return false
		}
		b.server.mu.Lock()
		b.server.blobs["/pack"] = blob // what is asked for next is whole
		b.server.mu.Unlock()
		from, to := rangeOf(r)
		w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(to)+"/"+strconv.Itoa(len(blob)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(flipped(blob)[from : to+1])
		return true
	}
	result := b.install(t)
	if result.Stats.Refetched != 1 {
		t.Errorf("%d frames were fetched again, and one was damaged", result.Stats.Refetched)
	}
	b.wantInstalled(t, d, result)
}

// flipped is a pack with one bit of its content turned over.
func flipped(blob []byte) []byte {
	blob = bytes.Clone(blob)
	blob[len(blob)/2] ^= 0x10
	return blob
}

// at runs f when the install enters a stage.
func (b *bed) at(stage provision.Stage, f func()) {
	b.onEvent = func(e provision.Event) {
		if e.Stage == stage {
			f()
		}
	}
}

func TestNoFailureLeavesABootableDisk(t *testing.T) {
	for name, fault := range map[string]struct {
		at    provision.Stage
		do    func(t *testing.T, b *bed)
		words []string
	}{
		"bit flipped for good": {provision.StagePartition, func(_ *testing.T, b *bed) {
			b.server.put("/pack", flipped(b.server.get("/pack")))
		}, []string{"streaming tiny", "damaged"}},
		"pack truncated": {provision.StagePartition, func(_ *testing.T, b *bed) {
			whole := b.server.get("/pack")
			b.server.put("/pack", whole[:len(whole)/2])
		}, []string{"streaming tiny", "truncated"}},
		"pack gone": {provision.StageStream, func(_ *testing.T, b *bed) {
			b.server.mu.Lock()
			delete(b.server.blobs, "/pack")
			b.server.mu.Unlock()
		}, []string{"streaming tiny", "404"}},
		"kernel missing": {provision.StageConfigure, func(t *testing.T, b *bed) {
			remove(t, b.job.Target+"/boot/vmlinuz-6.1.0-test")
		}, []string{"reading back", "vmlinuz-6.1.0-test"}},
		"file changed after it was written": {provision.StageVerify, func(t *testing.T, b *bed) {
			spoil(t, b.job.Target+"/srv/large")
		}, []string{"reading back", "/srv/large"}},
		"overlay changed after it was written": {provision.StageVerify, func(t *testing.T, b *bed) {
			spoil(t, b.job.Target+"/etc/hostname")
		}, []string{"reading back", "/etc/hostname"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, d := newFaultBed(t)
			b.at(fault.at, func() { fault.do(t, b) })
			b.wantFailure(t, fault.words...)
			d.wantUnbootable(t)
		})
	}
}

func remove(t *testing.T, name string) {
	if err := os.Remove(name); err != nil {
		t.Error(err)
	}
}

// spoil changes a byte of a file, as a bad disk would: its length and times
// stay.
func spoil(t *testing.T, name string) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Error(err)
		return
	}
	_, err = f.WriteAt([]byte{0xff}, 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Error(err)
	}
}

func TestInstallThatIsCancelledLeavesNothingBehind(t *testing.T) {
	for _, stage := range []provision.Stage{provision.StagePartition, provision.StageStream, provision.StageConfigure, provision.StageVerify, provision.StageBootable} {
		t.Run(string(stage), func(t *testing.T) {
			b, d := newFaultBed(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b.at(stage, cancel)
			if _, err := Run(ctx, b.job); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want that it was cancelled", err)
			}
			if mounted(b.job.Target) {
				t.Errorf("%s is still mounted", b.job.Target)
			}
			d.wantUnbootable(t)
		})
	}
}

// TestInstallNamesTheDiskThatFails uses a disk whose writes begin to fail: a
// sparse file on a filesystem that gets full.
func TestInstallNamesTheDiskThatFails(t *testing.T) {
	needRoot(t)
	for name, room := range map[string]string{"at the beginning": "1m", "in the stream": "9m"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			small := filepath.Join(b.dir, "small")
			if err := errors.Join(os.Mkdir(small, 0o755), unix.Mount("tmpfs", small, "tmpfs", 0, "size="+room)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(small, 0); err != nil {
					t.Errorf("clean up: %v", err)
				}
			})
			d := newLoopDisk(t, small, diskSize)
			b.use(t, d)
			b.wantFailure(t, d.info.Name) // what exactly failed is the kernel's word
			d.wantUnbootable(t)
		})
	}
}
