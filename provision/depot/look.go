package depot

import (
	"context"
	"errors"
	"time"
)

const (
	// lookers is how many images are looked at at the same time.
	lookers = 4
	// checkTime is how long an image counts as unchanged after it was looked at.
	checkTime = time.Second
)

// look is one look at an image. All who want to know about the image share it,
// so that a rack of machines that is switched on together costs one look,
// however long that takes.
type look struct {
	began time.Time
	done  chan struct{} // closed at its end; the fields below are valid then
	// fingerprint identifies the image's present content. It is "" if err is
	// not nil.
	fingerprint string
	err         error
}

// recent says whether a look is still under way, or is not too old.
func (l *look) recent() bool {
	select {
	case <-l.done:
		return time.Since(l.began) < checkTime
	default:
		return true
	}
}

// look returns a recent look at an image, and waits for it if needed. It
// returns an error only if ctx ends before that.
func (d *Depot) look(ctx context.Context, image string) (*look, error) {
	d.mu.Lock()
	l := d.looks[image]
	if l == nil || !l.recent() {
		l = &look{began: time.Now(), done: make(chan struct{})}
		d.looks[image] = l
		d.unseen = append(d.unseen, image)
		d.wakeLooker()
	}
	d.mu.Unlock()
	select {
	case <-l.done:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *Depot) wakeLooker() {
	select {
	case d.looking <- struct{}{}:
	default:
	}
}

// nextLook takes the next image that has to be looked at. It returns nil if
// there is none.
func (d *Depot) nextLook() (image string, l *look) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.unseen) == 0 {
		return "", nil
	}
	image, d.unseen = d.unseen[0], d.unseen[1:]
	if len(d.unseen) > 0 {
		d.wakeLooker()
	}
	return image, d.looks[image]
}

// lookAtAll looks at images until ctx ends.
func (d *Depot) lookAtAll(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.looking:
		}
		for image, l := d.nextLook(); l != nil; image, l = d.nextLook() {
			l.began = time.Now()
			l.fingerprint, l.err = d.fingerprint(ctx, image)
			close(l.done)
		}
	}
}

// fingerprint returns the fingerprint of an image as it is now. It is "" if
// there is an error.
func (d *Depot) fingerprint(ctx context.Context, name string) (string, error) {
	image, err := d.open(ctx, name)
	if err != nil {
		return "", err
	}
	fingerprint, err := image.Fingerprint(ctx)
	if err = errors.Join(err, image.Close()); err != nil {
		return "", err
	}
	return fingerprint, nil
}
