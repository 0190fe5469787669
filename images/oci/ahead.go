package oci

import (
	"context"
	"errors"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// A layer is unpacked ahead of what reads it by at most so many pieces, which
// are 4 MiB.
const (
	pieceSize = 256 << 10
	maxPieces = 16
)

// inOrder calls do with 0 to n-1 on goroutines of their own: as many at once as
// there are processors, and lower numbers first. stop ends the context that do
// gets, and waits.
func inOrder(ctx context.Context, n int, do func(ctx context.Context, i int)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0) + 1) // with that which starts the others
	g.Go(func() error {
		for i := range n {
			g.Go(func() error { do(ctx, i); return nil })
		}
		return nil
	})
	return func() {
		cancel()
		_ = g.Wait() // it returns no errors
	}
}

// ahead unpacks layers before they are read.
type ahead struct {
	layers []*aheadLayer
	stop   func()
}

// unpackAhead begins to unpack some layers, which must be read in their order.
// The caller stops it.
func (im *Image) unpackAhead(ctx context.Context, which []int) ahead {
	a := ahead{layers: make([]*aheadLayer, len(which))}
	free := make(chan []byte, maxPieces)
	for n := range which {
		a.layers[n] = &aheadLayer{full: make(chan []byte, maxPieces), free: free}
	}
	a.stop = inOrder(ctx, len(which), func(ctx context.Context, n int) { a.layers[n].fill(ctx, im, which[n]) })
	return a
}

// aheadLayer reads a layer that is being unpacked. Its digest is checked before
// it returns [io.EOF].
type aheadLayer struct {
	full chan []byte
	free chan []byte // pieces that were read, of any layer
	err  error       // why full was closed

	piece, left []byte // that which is being read, and what is left of it
}

// fill unpacks a layer.
func (a *aheadLayer) fill(ctx context.Context, im *Image, i int) {
	defer close(a.full)
	_, a.err = im.found.layers[i].unpack(ctx, im.bundle, im.opt.MaxSize, func(plain io.Reader) error {
		for {
			piece, err := a.emptyPiece(), error(nil)
			n := 0
			for n < len(piece) && err == nil {
				var more int
				more, err = plain.Read(piece[n:])
				n += more
			}
			select {
			case a.full <- piece[:n]:
			case <-ctx.Done():
				return ctx.Err()
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

func (a *aheadLayer) emptyPiece() []byte {
	select {
	case piece := <-a.free:
		return piece[:pieceSize]
	default:
		return make([]byte, pieceSize)
	}
}

// Read implements [io.Reader].
func (a *aheadLayer) Read(p []byte) (int, error) {
	for len(a.left) == 0 {
		if a.piece != nil {
			select {
			case a.free <- a.piece:
			default: // enough are free
			}
		}
		piece, ok := <-a.full
		a.piece, a.left = piece, piece
		switch {
		case ok:
		case a.err != nil:
			return 0, a.err
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, a.left)
	a.left = a.left[n:]
	return n, nil
}
