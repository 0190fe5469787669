package site

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"cloudlets/provision"
)

// How the site is watched. It is read when nothing has changed in it for
// settleTime, and at the latest patience after the first change. It is also read
// every resync, since network filesystems do not tell of changes made elsewhere.
const (
	settleTime = 100 * time.Millisecond
	patience   = time.Second
	resync     = time.Minute
)

// Watch re-reads the site whenever its files change, or what [Site.Learned] is told, until ctx ends, and then
// returns nil. Folders that appear later are watched from then on.
func (s *Site) Watch(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch site %s: %w; the limits are fs.inotify.max_user_instances and max_user_watches", s.dir, err)
	}
	defer notify.Close()
	w := &siteWatcher{site: s, notify: notify}
	return w.run(ctx)
}

// siteWatcher reads the site once for many notifications about single files.
type siteWatcher struct {
	site   *Site
	notify *fsnotify.Watcher
	due    time.Time // when the next read is due at the latest, or zero
}

func (w *siteWatcher) run(ctx context.Context) error {
	timer := time.NewTimer(0) // what changed since the site was opened
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.notify.Events:
			if !ok {
				return fmt.Errorf("watch site %s: the system's notifications have ended", w.site.dir)
			}
			if w.matters(event) {
				timer.Reset(w.delay())
			}
		case err := <-w.notify.Errors:
			w.failed(err)
			timer.Reset(w.delay())
		case <-w.site.learned:
			timer.Reset(w.delay())
		case <-timer.C:
			w.read()
			timer.Reset(resync)
		}
	}
}

// delay is how long to wait for more changes before reading.
func (w *siteWatcher) delay() time.Duration {
	now := time.Now()
	if w.due.IsZero() {
		w.due = now.Add(patience)
	}
	return max(0, min(settleTime, w.due.Sub(now)))
}

// read watches before it reads, so that nothing falls between the two.
func (w *siteWatcher) read() {
	w.due = time.Time{}
	for folders := w.folders(); ; {
		for _, folder := range folders {
			if err := w.notify.Add(folder); err != nil {
				w.failed(fmt.Errorf("%s: %w", folder, err))
			}
		}
		// A folder may have appeared in one that was not watched yet.
		now := w.folders()
		if slices.Equal(now, folders) {
			break
		}
		folders = now
	}
	w.site.Reload()
}

// folders are those to watch: the site's own. In place of one that is absent it
// is the nearest folder above it, in which it will appear.
func (w *siteWatcher) folders() []string {
	dir := w.site.dir
	var folders []string
	for _, folder := range []string{dir, filepath.Join(dir, provision.MachinesDir), filepath.Join(dir, profilesDir), filepath.Join(dir, imagesDir)} {
		for !isDir(folder) && folder != filepath.Dir(folder) {
			folder = filepath.Dir(folder)
		}
		folders = append(folders, folder)
	}
	return folders
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// matters says whether the site has to be read after an event. In images/ only
// names matter, and not the bytes of a tarball that is being written.
func (w *siteWatcher) matters(event fsnotify.Event) bool {
	inImages := filepath.Dir(event.Name) == filepath.Join(w.site.dir, imagesDir)
	return !inImages || event.Op&^(fsnotify.Write|fsnotify.Chmod) != 0
}

// failed logs an error of the system's. The next reading sees what was missed.
func (w *siteWatcher) failed(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		return
	}
	w.site.log.Warn("watching the site: changes may be seen late", "site", w.site.dir, "error", err)
}
