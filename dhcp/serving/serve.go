package serving

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// Serve runs tasks until ctx ends or one of them fails, and the writer of their leases
// for as long as they hand over packets. When it returns, all have ended.
func Serve(ctx context.Context, commits *Committer, tasks ...func(context.Context) error) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		commits.Run()
	}()
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range tasks {
		group.Go(func() error { return task(ctx) })
	}
	err := group.Wait()
	commits.End() // no packet is being handled any more
	<-written
	return err
}

// Link is an interface that is served while it is there.
type Link interface {
	// IsOpen says whether the sockets are open.
	IsOpen() bool
	// Open opens them. An error means that the interface is not there yet.
	Open(ctx context.Context) error
	// Say tells a person why the interface is not served; nil means that it is.
	Say(err error)
	// Serve answers until ctx ends or the interface changes, and closes the
	// sockets. changed tells of changes. An error ends the server.
	Serve(ctx context.Context, changed <-chan struct{}) error
}

type notThere struct{ error }

// NotThere marks the error of an interface that is absent, or has no address yet. It may
// come.
func NotThere(err error) error { return notThere{err} }

// IsNotThere says whether an error is of an interface that may come.
func IsNotThere(err error) bool {
	_, is := errors.AsType[notThere](err)
	return is
}

// KeepUp serves an interface until ctx ends, and waits for it while it is not there.
// watch subscribes to changes of the host's interfaces.
func KeepUp(ctx context.Context, k Link, watch func() (<-chan struct{}, func())) error {
	changed, stop := watch()
	defer stop()
	for ctx.Err() == nil {
		if k.IsOpen() {
			if err := k.Serve(ctx, changed); err != nil {
				return err
			}
			continue
		}
		err := k.Open(ctx)
		if ctx.Err() == nil {
			k.Say(err)
		}
		if err != nil {
			Await(ctx, changed)
		}
	}
	return nil
}
