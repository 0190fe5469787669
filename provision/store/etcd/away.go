package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cloudlets/images/pause"
	"cloudlets/provision/store"
)

// outage is the time while etcd does not answer. Then no request waits for it:
// each fails at once, and one goroutine tries until it answers again.
type outage struct {
	doubt chan struct{} // a request failed: find out whether etcd answers

	mu    sync.Mutex
	since time.Time // zero while etcd answers
	cause error
}

func (o *outage) init() { o.doubt = make(chan struct{}, 1) }

// suspect has the prober find out whether etcd answers.
func (o *outage) suspect() {
	select {
	case o.doubt <- struct{}{}:
	default: // it knows
	}
}

// Away returns since when etcd does not answer, and why. The time is zero while it
// does.
func (s *Store) Away() (since time.Time, cause error) {
	s.outage.mu.Lock()
	defer s.outage.mu.Unlock()
	return s.outage.since, s.outage.cause
}

// ready returns an error if a request to etcd would be in vain.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if since, cause := s.Away(); !since.IsZero() {
		return fmt.Errorf("%w: etcd does not answer since %s: %w", store.ErrAway, since.Format(time.TimeOnly), cause)
	}
	return nil
}

// call makes one request to etcd in bounded time.
func (s *Store) call(ctx context.Context, request func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := request(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), err)
	case isAway(err):
		s.outage.suspect()
		return fmt.Errorf("%w: %w", store.ErrAway, err)
	}
	return err
}

// repeat makes a request that may be made twice, and makes it again when its
// connection breaks: another member, or another connection, may answer at once. It
// takes no longer than one request may.
func (s *Store) repeat(ctx context.Context, request func(context.Context) error) error {
	return s.call(ctx, func(bounded context.Context) error {
		for {
			err := request(bounded)
			if codeOf(err) != codes.Unavailable {
				return err
			}
			s.outage.suspect()
			if pause.For(bounded, repeatPause) != nil || s.ready(bounded) != nil {
				return err
			}
		}
	})
}

// probe asks etcd when a request failed, and then until it answers.
func (s *Store) probe(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.outage.doubt:
		}
		for err := s.ask(ctx); err != nil && ctx.Err() == nil; err = s.ask(ctx) {
			s.went(err)
			if err := pause.For(ctx, retryPause); err != nil {
				return nil
			}
		}
		s.cameBack()
	}
}

// ask makes the smallest request that a majority of the members must answer.
func (s *Store) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.Get(ctx, s.prefix, clientv3.WithCountOnly())
	if isAway(err) {
		return err
	}
	return nil
}

func (s *Store) went(cause error) {
	s.outage.mu.Lock()
	defer s.outage.mu.Unlock()
	s.outage.cause = cause
	if s.outage.since.IsZero() {
		s.outage.since = time.Now()
		s.log.Error("etcd does not answer: machines that run go on, leases are renewed while they last, and nothing new is given or armed until it is back", "error", cause)
	}
}

func (s *Store) cameBack() {
	s.outage.mu.Lock()
	defer s.outage.mu.Unlock()
	if !s.outage.since.IsZero() {
		s.log.Info("etcd answers again", "after", time.Since(s.outage.since).Round(time.Second))
	}
	s.outage.since, s.outage.cause = time.Time{}, nil
}

// isAway says whether an error means that etcd, or a majority of its members, does
// not answer.
func isAway(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	switch codeOf(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal:
		return true
	case codes.Unknown: // a member passes the error of its own context on as it is
		return strings.HasSuffix(err.Error(), context.DeadlineExceeded.Error())
	}
	return false
}

// maybeDone says whether a transaction whose answer is an error may have taken
// effect all the same.
func maybeDone(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	switch codeOf(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Internal, codes.Unknown:
		return true
	}
	return false
}

func codeOf(err error) codes.Code {
	if known, is := errors.AsType[rpctypes.EtcdError](err); is {
		return known.Code()
	}
	if failure, is := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); is {
		return failure.GRPCStatus().Code()
	}
	return codes.OK
}
