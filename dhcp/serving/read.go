// Package serving has what the servers of DHCPv4 and DHCPv6 have in common: how they read
// a socket, share out packets ([Crew], [Room]) and write leases ([Committer]), and what they remember of
// clients ([Recent], [WaitingList]). Anyone on the network can send packets, so all of it
// is bounded.
package serving

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const (
	// MaxPacket in bytes is more than an Ethernet frame holds.
	MaxPacket = 2048
	// MaxReadErrors is how many reads in a row may fail, as they do while the kernel is
	// short of memory or the interface is down, before the socket is taken for broken.
	MaxReadErrors = 16
	// ReadPause follows each read that failed.
	ReadPause = 250 * time.Millisecond
)

// Read calls next, which reads one packet, again and again. It returns nil when ctx ends,
// and an error when the socket is closed, or after MaxReadErrors failures in a row. Whoever
// ends ctx wakes next, by a deadline of the socket. pause waits for a time, or for the end
// of its context.
func Read(ctx context.Context, pause func(context.Context, time.Duration), next func() error) error {
	for failures := 0; ctx.Err() == nil; {
		err := next()
		switch {
		case ctx.Err() != nil:
		case err == nil:
			failures = 0
		default:
			if failures++; failures == MaxReadErrors || errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("%d failures in a row: %w", failures, err)
			}
			pause(ctx, ReadPause)
		}
	}
	return nil
}

// Pause waits for d, or for the end of ctx.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Await waits until a channel has a value. It returns false when ctx ends.
func Await(ctx context.Context, told <-chan struct{}) bool {
	select {
	case <-told:
		return true
	case <-ctx.Done():
		return false
	}
}
