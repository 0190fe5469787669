package target

import (
	"fmt"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// notices returns sentences about what could keep a copy of a system from
// starting. A disk is made all the same, since a person may know better.
func (s System) notices(kernels []boot.Kernel) (list []string, err error) {
	noInitrd, err := boot.CheckInitrd(s.Tree, kernels[0])
	if err != nil {
		return nil, err
	}
	fstab, err := s.checkFstab()
	if err != nil {
		return nil, err
	}
	list, err = s.checkVolatile()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(append(list, noInitrd, fstab), func(text string) bool { return text == "" }), nil
}

// checkLive is notices for a live image, which has an initrd of its own.
func (s System) checkLive() ([]string, error) {
	list, err := s.checkVolatile()
	if err != nil {
		return nil, err
	}
	fstab, err := s.checkFstab()
	if fstab != "" {
		list = append(list, fstab)
	}
	return list, err
}

// checkFstab checks the copy's own /etc/fstab. A template that is not rendered
// yet tells nothing.
func (s System) checkFstab() (string, error) {
	for _, f := range s.Overlay {
		if f.Path == boot.FstabPath {
			return boot.FstabDoubt(string(f.Content), RootLabel), nil
		}
	}
	if slices.ContainsFunc(s.Manifest.Templates, func(name string) bool { return images.CleanPath(name) == boot.FstabPath }) || s.Manifest.IsVolatile(boot.FstabPath) {
		return "", nil
	}
	return boot.CheckFstab(s.Tree, RootLabel)
}

// ownDisk takes the words that name another disk out of the command lines of
// kernels, in place, and returns a sentence about them.
func ownDisk(kernels []boot.Kernel) []string {
	var all []string
	for i := range kernels {
		var taken []string
		kernels[i].Cmdline, taken = boot.WithoutDisk(kernels[i].Cmdline)
		all = append(all, taken...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return []string{fmt.Sprintf("%s was taken out of the kernel's command line, since the copy has a disk of its own; remove it from the manifest", strings.Join(slices.Compact(all), " "))}
}
