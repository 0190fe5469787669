package tftp

import (
	"context"
	"io/fs"
	"net/netip"
	"testing"
	"testing/fstest"
)

// askedFS has one file, whose content is the address of the client that asks for it.
type askedFS struct{}

var _ Asked = askedFS{}

func (askedFS) Open(string) (fs.File, error) { return nil, fs.ErrNotExist }

func (askedFS) OpenFor(_ context.Context, client netip.Addr, name string) (fs.File, error) {
	return fstest.MapFS{"who": {Data: []byte(client.String())}}.Open(name)
}

// TestAsked: a file system that asks for it is told which client a file is for.
func TestAsked(t *testing.T) {
	r := start(t, Server{FS: askedFS{}})
	c := newClient(t, r.addr)
	c.rrq("who")
	if p := c.receive(); string(p) != "\x00\x03\x00\x01127.0.0.1" {
		t.Errorf("got %q, want a block with the client's address", p)
	}
	c.ack(1)
	if tr := r.report(t); tr.Err != nil {
		t.Errorf("reported %+v", tr)
	}
}
