package track

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/store"
)

const (
	// progressPrefix begins the keys in the bucket [store.Announced] under which
	// servers tell each other how far the installs are that report to them. The
	// slot of the server comes after it.
	progressPrefix = "progress/"
	// shareDelay is how often they do.
	shareDelay = time.Second
	// maxShared bounds the machines whose progress one server tells.
	maxShared = 4000
)

// ShareProgress tells the servers that share the store how far the installs are
// that report to this one, until ctx ends. Progress is not stored: it goes away
// with the server that tells it.
func (t *Tracker) ShareProgress(ctx context.Context) error {
	if !t.store.Limits().Shared {
		<-ctx.Done()
		return nil
	}
	told := "{}"
	for {
		if pause.For(ctx, shareDelay) != nil {
			return nil
		}
		text, err := json.Marshal(t.ownProgress())
		if err != nil {
			return fmt.Errorf("tell other servers of progress: %w", err)
		}
		if string(text) == told {
			continue
		}
		if err := t.store.Announce(ctx, progressPrefix+strconv.Itoa(t.slot), text); err == nil {
			told = string(text)
		} // else the next second has newer progress
	}
}

// ownProgress is the progress of the installs that report to this server.
func (t *Tracker) ownProgress() map[provision.MAC]provision.Progress {
	t.lock()
	defer t.unlock()
	own := make(map[provision.MAC]provision.Progress)
	for mac := range t.progressing {
		m, known := t.machines[mac]
		if !known || m.state.Progress == nil {
			delete(t.progressing, mac) // it is in another stage
			continue
		}
		if len(own) < maxShared {
			own[mac] = *m.state.Progress
		}
	}
	return own
}

// takeProgress takes over what another server tells of progress. The caller holds
// mu.
func (t *Tracker) takeProgress(c store.Change) {
	slot, is := strings.CutPrefix(c.Key, progressPrefix)
	if !is || c.Value == nil || slot == strconv.Itoa(t.slot) {
		return
	}
	var told map[provision.MAC]provision.Progress
	if err := json.Unmarshal(c.Value, &told); err != nil {
		t.log.Error("the progress that another server tells cannot be read", "error", err)
		return
	}
	for mac, p := range told {
		m, known := t.machines[mac]
		if !known || !m.state.Installing() || m.state.Progress != nil && *m.state.Progress == p {
			continue
		}
		delete(t.progressing, mac) // its agent goes on with that server
		e := provision.Event{ID: t.takeID(), MAC: mac, Time: t.clock(), Kind: provision.KindProgress, Progress: &p}
		t.fold(m, e)
		t.publish(e)
	}
}
