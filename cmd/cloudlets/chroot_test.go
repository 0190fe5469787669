//go:build linux

package main

import "testing"

// TestStartedByKernel: only process 1 of a RAM disk, which the kernel starts
// as /init, may take a machine over.
func TestStartedByKernel(t *testing.T) {
	for _, c := range []struct {
		pid  int
		args []string
		want bool
	}{
		{1, []string{"/init"}, true},
		{1, []string{"/init", "splash"}, true},
		{1, []string{"init"}, true},
		{1, []string{"/usr/bin/cloudlets", "serve"}, false},
		{1, []string{"cloudlets", chrootVerb}, false},
		{1, []string{"/usr/bin/cloudlets-init"}, false},
		{1, nil, false},
		{4711, []string{"/init"}, false},
	} {
		if got := startedByKernel(c.pid, c.args); got != c.want {
			t.Errorf("process %d, %q: %v, want %v", c.pid, c.args, got, c.want)
		}
	}
}
