package grub

import (
	"slices"
	"testing"
)

// FuzzKernel feeds files that are no kernels, or nearly ones.
func FuzzKernel(f *testing.F) {
	files := grubFiles(f, "kernel.img", "fshelp.mod")
	kernel := files["kernel.img"].Data
	f.Add(kernel)
	f.Add(kernel[:1000])
	f.Add(files["fshelp.mod"].Data)
	f.Fuzz(func(t *testing.T, file []byte) {
		memory, err := loadKernel(file)
		if err == nil && (len(memory) == 0 || len(memory) > kernelEnd-linkAddress) {
			t.Errorf("the kernel has %d bytes", len(memory))
		}
	})
}

// FuzzDependencies looks for circles without end, and names that lead out of
// the folder.
func FuzzDependencies(f *testing.F) {
	f.Add(grubFiles(f, "moddep.lst")["moddep.lst"].Data, "normal")
	f.Add([]byte("a: b\nb: a\n"), "a")
	f.Add([]byte("a: ../b"), "a")
	f.Fuzz(func(t *testing.T, list []byte, name string) {
		deps, err := parseDependencies(list)
		if err != nil {
			return
		}
		modules := deps.closure([]string{name})
		if modules[len(modules)-1] != name {
			t.Errorf("%q is not the last of %q", name, modules)
		}
		for i, m := range modules {
			if slices.Contains(modules[:i], m) || m != name && !moduleName(m) {
				t.Errorf("the modules are %q", modules)
			}
		}
	})
}
