package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// servePage serves the daemon's page on loopback. No browser can reach the network
// namespace of the daemon, but its socket is a file. servePage passes on only
// requests that read.
func servePage(socket string) (address string, done func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "localhost"})
	proxy.FlushInterval = -1 // pass events on at once
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "the demo's page is read-only", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		_ = server.Serve(l) // ends with Close
	}()
	return "http://" + l.Addr().String() + "/", func() { server.Close(); <-finished }, nil
}

// interrupted returns a channel that is closed when the user presses Ctrl-C.
func interrupted(ctx context.Context) <-chan struct{} {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx.Done()
}

// tail returns the end of a log.
func tail(text string) string {
	const most = 3000
	return text[max(0, len(text)-most):]
}
