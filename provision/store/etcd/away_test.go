package etcd

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestIsAway has errors as members and the client give them while a member is lost.
func TestIsAway(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("x"), false},
		{context.Canceled, false},
		{fmt.Errorf("put: %w", context.DeadlineExceeded), true},
		{status.Error(codes.Unavailable, "etcdserver: no leader"), true},
		{fmt.Errorf("put: %w", status.Error(codes.Unknown, "context deadline exceeded")), true},
		{status.Error(codes.Unknown, "etcdserver: mvcc: key is too long"), false},
		{status.Error(codes.PermissionDenied, "context deadline exceeded"), false},
	} {
		if got := isAway(c.err); got != c.want {
			t.Errorf("isAway(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}
