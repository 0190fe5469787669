package machine

import "testing"

// TestStartedByKernel: only process 1 of a RAM disk, which the kernel starts
// as /init, may take a machine over, and only that of a disk prepares one.
func TestStartedByKernel(t *testing.T) {
	for _, c := range []struct {
		pid  int
		args []string
		want string
	}{
		{1, []string{"/init"}, "init"},
		{1, []string{"/init", "splash"}, "init"},
		{1, []string{"init"}, "init"},
		{1, []string{"/.cloudlet/preinit", "single"}, "preinit"},
		{1, []string{"/usr/bin/cloudlets", "serve"}, "cloudlets"},
		{1, []string{"cloudlets", "chroot-child"}, "cloudlets"},
		{1, []string{"/usr/bin/cloudlets-init"}, "cloudlets-init"},
		{1, nil, ""},
		{4711, []string{"/init"}, ""},
	} {
		if got := startedByKernel(c.pid, c.args); got != c.want {
			t.Errorf("process %d, %q: %q, want %q", c.pid, c.args, got, c.want)
		}
	}
}
