package target

import (
	"context"
	"fmt"
	"io"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// Boot is what a boot loader, or a hypervisor, starts a system with.
type Boot struct {
	Kernel boot.Kernel
	// Cmdline is the kernel's command line; which disk the root is on is for
	// whoever has the disk to add.
	Cmdline string

	tree images.Tree
}

// DirectBoot is the newest kernel of an entry point, with its RAM disk and its
// command line, to which more words are added.
func DirectBoot(ctx context.Context, s System, entry, more string) (Boot, error) {
	found, err := runnable(s, entry)
	if err != nil {
		return Boot{}, fmt.Errorf("take the kernel out of image %s: %w", s.Name, err)
	}
	newest, err := s.Rendered(ctx, found[:1])
	if err != nil {
		return Boot{}, err
	}
	return Boot{Kernel: newest[0], Cmdline: boot.JoinWords(newest[0].Cmdline, more), tree: s.Tree}, nil
}

// Files are what it takes, by the names that they go by: "vmlinuz", "initrd"
// where there is one, and "cmdline".
func (b Boot) Files() []string {
	if b.Kernel.Initrd == "" {
		return []string{"vmlinuz", "cmdline"}
	}
	return []string{"vmlinuz", "initrd", "cmdline"}
}

// Write writes one of the files.
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
