//go:build linux

package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// diary is what tasks did, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// untilTheEnd is a task that runs until it is stopped.
func (d *diary) untilTheEnd(name string) task {
	return task{name, func(ctx context.Context) error {
		<-ctx.Done()
		d.add(name)
		return ctx.Err()
	}}
}

// TestGroupsEndOneAfterTheOther: a group is told to stop only when all tasks of
// the groups before it have ended.
func TestGroupsEndOneAfterTheOther(t *testing.T) {
	var d diary
	ctx, stop := context.WithCancel(t.Context())
	stopped, goOn := make(chan struct{}), make(chan struct{})
	slow := task{"slow", func(ctx context.Context) error {
		<-ctx.Done()
		close(stopped)
		<-goOn
		d.add("slow")
		return nil
	}}
	ended := make(chan error, 1)
	go func() {
		ended <- runGroups(ctx, []task{slow}, []task{d.untilTheEnd("second")}, []task{d.untilTheEnd("last")})
	}()
	stop()
	<-stopped
	close(goOn)
	if err := <-ended; err != nil {
		t.Errorf("the end that was asked for is an error: %v", err)
	}
	if want := []string{"slow", "second", "last"}; !slices.Equal(d.lines, want) {
		t.Errorf("tasks ended in the order %v, want %v", d.lines, want)
	}
}

// TestATaskThatEndsStopsAll: the error says which task it was.
func TestATaskThatEndsStopsAll(t *testing.T) {
	broken := errors.New("the cable is cut")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"with an error", broken, "serve DHCP: the cable is cut"},
		{"without one", nil, "serve DHCP: it ended and should not have"},
		{"as if it was cancelled", context.Canceled, "serve DHCP: context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d diary
			failing := task{"serve DHCP", func(context.Context) error { return test.err }}
			err := runGroups(t.Context(), []task{d.untilTheEnd("first")}, []task{failing}, []task{d.untilTheEnd("last")})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if want := []string{"first", "last"}; !slices.Equal(d.lines, want) {
				t.Errorf("tasks ended in the order %v, want %v", d.lines, want)
			}
		})
	}
}
