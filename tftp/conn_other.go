//go:build !linux

package tftp

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

func newLockstepPort(ctx context.Context, socket *net.UDPConn, _ time.Duration, _ *atomic.Int32) (clientConn, error) {
	return newPolledPort(ctx, socket), nil
}

// pathMTU is Ethernet's, as only Linux is asked.
func pathMTU(*net.UDPConn, bool) (int, error) { return 1500, nil }
