//go:build !linux

package etcd

import "os/exec"

// Debian's etcd runs on Linux alone, so on other hosts no test gets as far as this.

func dieTogether(*exec.Cmd) {}

// Pause stops a member, and Resume lets it go on.
func (c *Cluster) Pause(int)  {}
func (c *Cluster) Resume(int) {}
