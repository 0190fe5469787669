package target

import (
	"context"
	"fmt"
	"io"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// Boot holds what a boot loader or a hypervisor needs to start a system.
type Boot struct {
	Kernel boot.Kernel
	// Cmdline is the kernel's command line. If it is from [DirectBoot], the
	// words for the root filesystem must be added, because they depend on the
	// machine's disk.
	Cmdline string
	// Notices are sentences about what could keep the system from starting.
	Notices []string

	tree images.Tree
}

// DirectBoot returns the newest kernel of an entry point, with its RAM disk and
// its command line, to which it adds the words in more.
func DirectBoot(ctx context.Context, s System, entry, more string) (Boot, error) {
	found, err := runnable(s, entry)
	if err != nil {
		return Boot{}, fmt.Errorf("take the kernel out of image %s: %w", s.Name, err)
	}
	newest, taken, err := s.Rendered(ctx, found[:1])
	if err != nil {
		return Boot{}, err
	}
	return Boot{Kernel: newest[0], Cmdline: boot.JoinWords(newest[0].Cmdline, more), Notices: taken, tree: s.Tree}, nil
}

// Files returns the names of the files that starting the system takes:
// "vmlinuz", "initrd" if the kernel has a RAM disk, and "cmdline".
func (b Boot) Files() []string {
	if b.Kernel.Initrd == "" {
		return []string{"vmlinuz", "cmdline"}
	}
	return []string{"vmlinuz", "initrd", "cmdline"}
}

// Write writes the file with a name that [Boot.Files] returns.
func (b Boot) Write(w io.Writer, name string) error {
	path := b.Kernel.Path
	switch name {
	case "cmdline":
		_, err := io.WriteString(w, b.Cmdline+"\n")
		return err
	case "initrd":
		path = b.Kernel.Initrd
	}
	r, err := b.tree.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}
