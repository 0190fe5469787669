// Package ifwatch tells when the network interfaces of this host may have changed.
// The kernel says so by rtnetlink(7). What has changed, those who are told find out
// themselves.
package ifwatch

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// quietTime is the shortest time between two signals, so that a host on which
	// interfaces change all the time does not keep its subscribers busy.
	quietTime = 100 * time.Millisecond
	// lookAgain is how often a signal comes without a change. What could not be done
	// when an interface came is tried again then.
	lookAgain = 5 * time.Second
	// pollTime is how often a signal comes while the kernel cannot be listened to.
	pollTime = time.Second
)

// Signal wakes those who subscribed to it. The zero value has no subscribers.
type Signal struct {
	mu          sync.Mutex
	subscribers map[chan struct{}]struct{}
}

// Subscribe returns a channel that has a value when a signal was sent since the last
// value was taken, and once at the beginning. stop ends the subscription.
func (s *Signal) Subscribe() (told <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscribers == nil {
		s.subscribers = map[chan struct{}]struct{}{}
	}
	s.subscribers[c] = struct{}{}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, c)
	}
}

// Send wakes all subscribers. It does not wait for them.
func (s *Signal) Send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.subscribers {
		select {
		case c <- struct{}{}:
		default: // it has not taken the last value yet
		}
	}
}

// Each calls f at once, and then after each signal, until ctx ends.
func (s *Signal) Each(ctx context.Context, f func()) {
	told, stop := s.Subscribe()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			f()
		}
	}
}

// Watcher sends a signal when an interface or one of its IP addresses came, went or
// changed, and every 5 s besides. If the kernel cannot be listened to, it sends one
// every second instead.
type Watcher struct {
	Signal
	monitor *os.File      // nil if there is none
	again   time.Duration // how often a signal comes without a change
}

// Open begins to watch the interfaces of the network namespace that the caller is in.
// Signals come while [Watcher.Run] runs. Call that once, or Close.
func Open() *Watcher {
	f, err := openMonitor()
	if err != nil {
		return &Watcher{} // which looks more often
	}
	return &Watcher{monitor: f, again: lookAgain}
}

// openMonitor opens a socket to which the kernel sends a message for each change.
func openMonitor() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "netlink socket")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close ends the watching if Run was never called. Run does so itself.
func (w *Watcher) Close() {
	if w.monitor != nil {
		_ = w.monitor.Close() // nothing was written to it
	}
}

// Run sends signals until ctx ends, and returns nil.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.Close()
	if w.monitor != nil {
		w.listen(ctx)
	}
	for ctx.Err() == nil {
		w.Send()
		pause(ctx, pollTime)
	}
	return nil
}

// listen sends signals for what the kernel tells. It returns when ctx ends, or the
// socket cannot be read.
func (w *Watcher) listen(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.Close) // wakes the reader
	defer stop()
	buf := make([]byte, 1<<16)
	for ctx.Err() == nil {
		if w.monitor.SetReadDeadline(time.Now().Add(w.again)) != nil {
			return
		}
		// ENOBUFS means that more has changed than the kernel keeps messages of.
		_, err := w.monitor.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		w.Send()
		pause(ctx, quietTime)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
