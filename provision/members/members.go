// Package members knows which servers share a store, and are alive. Each takes a
// slot, which tells its events from those of others, and announces who it is and
// where machines reach it.
//
// Start reading at [Join]. What follows from the list of members is decided
// elsewhere: package dhcp/table shares out clients and addresses, and an agent that
// loses its server goes on with another one.
package members

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"cloudlets/provision/store"
)

const (
	slotBucket = "slots" // slot: ID of the member that has it
	// keyPrefix begins the keys of members in the bucket [store.Announced].
	keyPrefix = "member/"
)

// Member is one server, as it announces itself.
type Member struct {
	// ID is unique, and stays the same when the server is restarted.
	ID string `json:"id"`
	// Name is for people: the host's name.
	Name string `json:"name"`
	// URL is where machines reach the server over HTTP, without a slash at its
	// end.
	URL string `json:"url"`
	// URLs are all of them, if it has one on each of several networks.
	URLs []string `json:"urls,omitempty"`
	// Secure are where machines reach it over HTTPS; none if it has no HTTPS.
	Secure  []string  `json:"secure,omitempty"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Site is the digest of what the machines' files say, as this server has them.
	Site string `json:"site,omitempty"`
	// Slot is the number that the server has in the store.
	Slot int `json:"slot"`
}

// NewID returns an ID for a server that has none yet.
func NewID() string { return uuid.NewString() }

// ErrFull says that no slot is free.
var ErrFull = errors.New("too many servers share the store")

// Members are the servers that share a store. Their methods may be called by
// several goroutines at once, and answer from memory.
type Members struct {
	store store.Store
	log   *slog.Logger
	stop  func()

	mu     sync.Mutex
	self   Member
	live   map[string]Member // by ID, without self
	sorted []Member          // all, sorted by ID
	ids    []string          // of sorted
	change chan struct{}     // closed and replaced when the list changes
}

// Join takes a slot for a server, announces it, and follows who else is there,
// until [Members.Close] is called. self needs no slot. slots is how many servers
// may share a store.
func Join(ctx context.Context, s store.Store, self Member, slots int, log *slog.Logger) (*Members, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Members{store: s, log: log, self: self, live: make(map[string]Member), change: make(chan struct{})}
	var err error
	if m.self.Slot, err = takeSlot(ctx, s, self.ID, slots); err != nil {
		return nil, fmt.Errorf("join the servers that share the store: %w", err)
	}
	if err := m.announce(ctx); err != nil {
		return nil, err
	}
	if m.stop, err = s.Follow(ctx, m, store.Announced); err != nil {
		return nil, fmt.Errorf("join the servers that share the store: %w", err)
	}
	return m, nil
}

// takeSlot returns the slot of a member. It takes the one that it had, or one that
// nobody has, or else one of a member that is not alive.
func takeSlot(ctx context.Context, s store.Store, id string, slots int) (slot int, err error) {
	err = s.Update(ctx, func(tx store.Tx) error {
		owners := make(map[int]string)
		err := tx.Scan(slotBucket, "", "", func(key string, value []byte) error {
			if n, err := strconv.Atoi(key); err == nil {
				owners[n] = string(value)
			}
			return nil
		})
		if err != nil {
			return err
		}
		alive := make(map[string]bool)
		err = tx.Scan(store.Announced, keyPrefix, "", func(key string, _ []byte) error {
			alive[strings.TrimPrefix(key, keyPrefix)] = true
			return nil
		})
		if err != nil {
			return err
		}
		if slot, err = chooseSlot(owners, alive, id, slots); err != nil {
			return err
		}
		return tx.Put(slotBucket, strconv.Itoa(slot), []byte(id))
	})
	return slot, err
}

func chooseSlot(owners map[int]string, alive map[string]bool, id string, slots int) (int, error) {
	for n, owner := range owners {
		if owner == id {
			return n, nil
		}
	}
	for _, free := range []func(n int) bool{
		func(n int) bool { return owners[n] == "" },
		func(n int) bool { return !alive[owners[n]] },
	} {
		for n := range slots {
			if free(n) {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: %d are alive, and no more are possible; stop one of them", ErrFull, slots)
}

// NoneAlive returns an error that names the servers that are alive in a store.
func NoneAlive(tx store.Tx) error {
	var names []string
	err := tx.Scan(store.Announced, keyPrefix, "", func(key string, value []byte) error {
		name := strings.TrimPrefix(key, keyPrefix)
		var m Member
		if json.Unmarshal(value, &m) == nil && m.Name != "" {
			name = m.Name + " at " + m.URL
		}
		names = append(names, name)
		return nil
	})
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("servers use the store: %s: stop them first; one that was killed counts as alive for some seconds", strings.Join(names, ", "))
	}
	return err
}

// Alive says, in a transaction, whether the server with an ID is alive. One that was killed
// counts as alive for some seconds.
func Alive(tx store.Tx, id string) (bool, error) {
	announced, err := tx.Get(store.Announced, keyPrefix+id)
	return announced != nil, err
}

// Close ends following. The announcement ends with the store.
func (m *Members) Close() { m.stop() }

// Self is this server.
func (m *Members) Self() Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self
}

// Live are all servers that are alive, this one too, sorted by ID. The list is
// shared: do not write to it.
func (m *Members) Live() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sorted
}

// IDs returns the ID of this server, and those of all that are alive, sorted. The
// list is shared: do not write to it.
func (m *Members) IDs() (self string, live []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self.ID, m.ids
}

// Changed is closed when the list of servers changes.
func (m *Members) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change
}

// SetSite announces the digest of this server's copy of the site.
func (m *Members) SetSite(ctx context.Context, digest string) error {
	m.mu.Lock()
	same := m.self.Site == digest
	m.self.Site = digest
	m.list()
	m.mu.Unlock()
	if same {
		return nil
	}
	return m.announce(ctx)
}

func (m *Members) announce(ctx context.Context) error {
	self := m.Self()
	text, err := json.Marshal(self)
	if err == nil {
		err = m.store.Announce(ctx, keyPrefix+self.ID, text)
	}
	if err != nil {
		return fmt.Errorf("announce this server to those that share the store: %w", err)
	}
	return nil
}

var _ store.Follower = (*Members)(nil)

// Load implements [store.Follower].
func (m *Members) Load(tx store.Tx) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.live)
	err := tx.Scan(store.Announced, keyPrefix, "", func(key string, value []byte) error {
		m.put(key, value)
		return nil
	})
	m.list()
	return err
}

// Apply implements [store.Follower].
func (m *Members) Apply(changes []store.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if strings.HasPrefix(c.Key, keyPrefix) {
			m.put(c.Key, c.Value)
		}
	}
	m.list()
}

// put takes over what a member announced, or that it is gone. The caller holds mu.
func (m *Members) put(key string, value []byte) {
	id := strings.TrimPrefix(key, keyPrefix)
	var other Member
	switch err := json.Unmarshal(value, &other); {
	case value == nil:
		if gone, was := m.live[id]; was {
			m.log.Warn("a server that shares the store is gone; the others answer its machines", "server", gone.Name, "url", gone.URL)
		}
		delete(m.live, id)
	case err != nil:
		m.log.Error("what a server announced cannot be read", "server", id, "error", err)
	case id == m.self.ID:
		if !other.Started.Equal(m.self.Started) {
			m.log.Error("another server has the identity of this one, and both would answer for each other: stop one of them, and remove the file with the identity from its state folder",
				"server", other.Name, "url", other.URL, "id", id)
		}
	default:
		if _, known := m.live[id]; !known {
			m.log.Info("a server shares the store", "server", other.Name, "url", other.URL)
		}
		m.live[id] = other
	}
}

// list makes the sorted lists anew, and tells those who wait. The caller holds mu.
func (m *Members) list() {
	sorted := make([]Member, 0, len(m.live)+1)
	sorted = append(sorted, m.self)
	for _, other := range m.live {
		sorted = append(sorted, other)
	}
	slices.SortFunc(sorted, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	if reflect.DeepEqual(sorted, m.sorted) {
		return
	}
	m.sorted = sorted
	m.ids = make([]string, len(sorted))
	for i, one := range sorted {
		m.ids[i] = one.ID
	}
	close(m.change)
	m.change = make(chan struct{})
}
