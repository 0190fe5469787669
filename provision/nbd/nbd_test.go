package nbd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
)

// disk is a source that waits where a test wants it to.
type disk struct {
	data []byte
	wait map[int64]chan struct{} // by offset
	bad  int64
}

func (d *disk) Bytes(ctx context.Context, offset int64, n int) ([]byte, error) {
	if hold := d.wait[offset]; hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if d.bad != 0 && offset == d.bad {
		return nil, errors.New("no such bytes")
	}
	return d.data[offset : offset+int64(n)], nil
}

// kernel is the other end of a disk's connection.
type kernel struct {
	t testing.TB
	net.Conn
	served chan error
}

func serving(t testing.TB, d *disk) *kernel {
	t.Helper()
	conn, file, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	other, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	k := &kernel{t, other, make(chan error, 1)}
	go func() { k.served <- serve(ctx, conn, int64(len(d.data)), d) }()
	t.Cleanup(func() {
		stop()
		other.Close()
		conn.Close()
	})
	return k
}

func (k *kernel) ask(command uint32, handle uint64, offset int64, n uint32) {
	k.t.Helper()
	m := binary.BigEndian.AppendUint32(nil, requestMagic)
	m = binary.BigEndian.AppendUint32(m, command)
	m = binary.BigEndian.AppendUint64(m, handle)
	m = binary.BigEndian.AppendUint64(m, uint64(offset))
	m = binary.BigEndian.AppendUint32(m, n)
	if _, err := k.Write(m); err != nil {
		k.t.Fatal(err)
	}
}

// answer reads one answer, of n bytes if it is no error.
func (k *kernel) answer(n int) (handle uint64, code uint32, data []byte) {
	k.t.Helper()
	var head [replySize]byte
	if _, err := io.ReadFull(k, head[:]); err != nil {
		k.t.Fatal(err)
	}
	if magic := binary.BigEndian.Uint32(head[:]); magic != replyMagic {
		k.t.Fatalf("an answer begins with %#x", magic)
	}
	code, handle = binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint64(head[8:])
	if code == 0 {
		data = make([]byte, n)
		if _, err := io.ReadFull(k, data); err != nil {
			k.t.Fatal(err)
		}
	}
	return handle, code, data
}

func someDisk() *disk {
	data := make([]byte, 64*BlockSize)
	for i := range data {
		data[i] = byte(i / BlockSize)
	}
	return &disk{data: data, wait: map[int64]chan struct{}{}}
}

// TestReadsDoNotWaitForEachOther: a read whose bytes take long does not hold up the next.
func TestReadsDoNotWaitForEachOther(t *testing.T) {
	d := someDisk()
	d.wait[8*BlockSize] = make(chan struct{})
	k := serving(t, d)
	k.ask(cmdRead, 1, 8*BlockSize, 2*BlockSize)
	k.ask(cmdRead, 2, 63*BlockSize, BlockSize)
	if handle, code, data := k.answer(BlockSize); handle != 2 || code != 0 || !bytes.Equal(data, d.data[63*BlockSize:]) {
		t.Errorf("the second read: answer %d, code %d", handle, code)
	}
	close(d.wait[8*BlockSize])
	if handle, code, data := k.answer(2 * BlockSize); handle != 1 || code != 0 || !bytes.Equal(data, d.data[8*BlockSize:10*BlockSize]) {
		t.Errorf("the first read: answer %d, code %d", handle, code)
	}
	k.ask(cmdDisconnect, 3, 0, 0)
	if err := <-k.served; err != nil {
		t.Errorf("the kernel ends it, and: %v", err)
	}
}

// TestWhatIsRefused: bytes that are not there, and whatever would write, are errors to the
// reader, and the disk goes on.
func TestWhatIsRefused(t *testing.T) {
	d := someDisk()
	d.bad = 4 * BlockSize
	k := serving(t, d)
	end := int64(len(d.data))
	for i, c := range []struct {
		command uint32
		offset  int64
		n       uint32
		code    uint32
	}{
		{cmdRead, end, BlockSize, errInvalid}, {cmdRead, end - 1, 2, errInvalid}, {cmdRead, -BlockSize, BlockSize, errInvalid},
		{cmdRead, 0, maxRead + 1, errInvalid}, {1, 0, 0, errInvalid}, {3, 0, 0, errInvalid}, {cmdRead, d.bad, BlockSize, errIO},
	} {
		k.ask(c.command, uint64(i), c.offset, c.n)
		if handle, code, _ := k.answer(0); handle != uint64(i) || code != c.code {
			t.Errorf("command %d for %d bytes at %d: answer %d, code %d", c.command, c.n, c.offset, handle, code)
		}
	}
	k.ask(cmdRead, 99, 0, BlockSize)
	if _, code, data := k.answer(BlockSize); code != 0 || !bytes.Equal(data, d.data[:BlockSize]) {
		t.Error("the disk does not go on")
	}
}

// TestEnd: a source that waits for ever does not keep a disk from being closed, and what is
// no request ends it with an error.
func TestEnd(t *testing.T) {
	d := someDisk()
	d.wait[0] = make(chan struct{})
	k := serving(t, d)
	k.ask(cmdRead, 1, 0, BlockSize)
	k.Close()
	if err := <-k.served; err != nil {
		t.Errorf("the kernel is gone: %v", err)
	}
	k = serving(t, someDisk())
	if _, err := k.Write(make([]byte, requestSize)); err != nil {
		t.Fatal(err)
	}
	if err := <-k.served; err == nil {
		t.Error("nonsense counts as a request")
	}
}

// FuzzRequests: nothing that comes by the connection makes it panic or hang.
func FuzzRequests(f *testing.F) {
	f.Add(append(binary.BigEndian.AppendUint32(nil, requestMagic), make([]byte, requestSize-4)...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		k := serving(t, someDisk())
		go io.Copy(io.Discard, k)
		if _, err := k.Write(sent); err != nil && !errors.Is(err, os.ErrClosed) {
			return // it was ended already
		}
		k.Conn.(*net.UnixConn).CloseWrite()
		<-k.served
	})
}
