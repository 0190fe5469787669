//go:build linux

package daemon

import (
	"net"
	"sync"
)

// limitConns lets a TCP listener have at most n connections at a time; further
// ones wait. Its connections stay TCP connections, so that files are sent with
// sendfile(2). A general wrapper of net.Conn would prevent that.
func limitConns(l net.Listener, n int) net.Listener {
	return &limitListener{Listener: l, room: make(chan struct{}, n), closed: make(chan struct{})}
}

type limitListener struct {
	net.Listener
	room   chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept waits for room, and then for a connection.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	leave := sync.OnceFunc(func() { <-l.room })
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &limitedTCP{tcp, leave}, nil
	}
	return &limitedConn{conn, leave}, nil
}

// Close also ends an Accept that waits for room.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedTCP keeps the methods of a TCP connection. ReadFrom is the one that
// uses sendfile(2).
type limitedTCP struct {
	*net.TCPConn
	leave func()
}

func (c *limitedTCP) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
