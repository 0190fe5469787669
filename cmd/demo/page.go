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

// servePage shows the daemon's page on loopback. The daemon itself is in a
// network namespace that no browser reaches, but its socket is a file. Only
// what reads is passed on.
func servePage(socket string) (address string, done func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "localhost"})
	proxy.FlushInterval = -1 // the page is told of events as they come
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "the demo's page only shows", http.StatusForbidden)
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

// interrupted is closed when the person presses Ctrl-C.
func interrupted(ctx context.Context) <-chan struct{} {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx.Done()
}

// tail is the end of a log.
func tail(text string) string {
	const most = 3000
	return text[max(0, len(text)-most):]
}
