//go:build !linux

package tftp

import (
	"context"
	"net"
	"time"
)

// ownPort is a download's own socket.
type ownPort struct {
	ctx    context.Context
	socket *net.UDPConn
	stop   func() bool
}

// newOwnPort takes the socket over.
func newOwnPort(ctx context.Context, socket *net.UDPConn, _ time.Duration) (*ownPort, error) {
	stop := context.AfterFunc(ctx, func() { socket.SetReadDeadline(aLongTimeAgo) })
	return &ownPort{ctx, socket, stop}, nil
}

func (o *ownPort) send(p []byte) error {
	_, err := o.socket.Write(p)
	return err
}

func (o *ownPort) receive(p []byte, wait time.Duration) (int, error) {
	if err := o.socket.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, err
	}
	// This deadline may have replaced the one that ends the download, so
	// look at the context after setting it.
	if o.ctx.Err() != nil {
		return 0, errStopping
	}
	n, err := o.socket.Read(p)
	if o.ctx.Err() != nil {
		return 0, errStopping
	}
	return n, err
}

func (o *ownPort) close() {
	o.stop()
	o.socket.Close()
}

// pathMTU is Ethernet's, as only Linux is asked.
func pathMTU(*net.UDPConn, bool) (int, error) { return 1500, nil }
