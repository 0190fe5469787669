//go:build linux

package registry

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/imagetest"
	"cloudlets/images/oci"
	"cloudlets/testdata/needs"
	testregistry "cloudlets/testdata/registry"
)

// run runs a tool, and returns what it prints.
func run(t *testing.T, name, debianPackage string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), needs.Tool(t, name, debianPackage), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// container makes a cloudlet with a program that says "it runs".
func container(t *testing.T) *images.Image {
	t.Helper()
	root, work := t.TempDir(), t.TempDir()
	text := `{"name": "web", "entrypoints": {"shell": {"type": "chroot", "path": "/bin/web", "args": ["argument"]}}}`
	source := filepath.Join(work, "web.c")
	imagetest.Must(t, os.MkdirAll(filepath.Join(root, ".cloudlet"), 0o755), os.Mkdir(filepath.Join(root, "bin"), 0o755),
		os.WriteFile(filepath.Join(root, images.ManifestPath), []byte(text), 0o644),
		os.WriteFile(source, []byte("#include <stdio.h>\nint main(int n, char **v) { printf(\"it runs with %s\\n\", v[1]); return 0; }\n"), 0o644))
	run(t, "gcc", "gcc", "-static", "-o", filepath.Join(root, "bin/web"), source)
	return openDir(t, root)
}

// TestOthersUseWhatIsPushed copies a cloudlet with skopeo, runs it as a
// container with buildah, and pushes it back with both.
func TestOthersUseWhatIsPushed(t *testing.T) {
	needs.Root(t)
	addr := testregistry.Start(t, false)
	im := container(t)
	pushed := mustPush(t, im, addr+"/web:1")
	want := identity(t, im.Source)
	work := t.TempDir()
	policy := filepath.Join(work, "policy.json")
	imagetest.Must(t, os.WriteFile(policy, []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o644))
	same := func(name string, src images.Source, err error) {
		t.Helper()
		if imagetest.Must(t, err); identity(t, src) != want {
			t.Errorf("%s: the identity is another one", name)
		}
	}

	layout := filepath.Join(work, "layout")
	run(t, "skopeo", "skopeo", "--policy", policy, "copy", "-q", "--src-tls-verify=false", "docker://"+pushed.Name, "oci:"+layout+":1")
	copied, err := oci.Open(t.Context(), layout, oci.Options{})
	same("skopeo's copy", copied, err)
	imagetest.Must(t, copied.Close())
	run(t, "skopeo", "skopeo", "--policy", policy, "copy", "-q", "--dest-tls-verify=false", "oci:"+layout+":1", "docker://"+addr+"/skopeo:1")
	same("pushed by skopeo", mustFetch(t, addr+"/skopeo:1", Options{CacheDir: work + "/cache"}), nil)

	buildah := func(args ...string) string {
		t.Helper()
		store := []string{"--root", work + "/store", "--runroot", work + "/run", "--storage-driver", "vfs"}
		return strings.TrimSpace(run(t, "buildah", "buildah", append(store, args...)...))
	}
	buildah("pull", "-q", "--signature-policy", policy, "--tls-verify=false", "docker://"+pushed.Tag)
	from := buildah("from", "--signature-policy", policy, pushed.Tag)
	command := buildah("inspect", "--format", "{{range .OCIv1.Config.Cmd}}{{.}} {{end}}", from)
	out := buildah(append([]string{"run", "--isolation", "chroot", from, "--"}, strings.Fields(command)...)...)
	if out != "it runs with argument" {
		t.Errorf("the container's command is %q, which says %q", command, out)
	}
	buildah("push", "-q", "--signature-policy", policy, "--tls-verify=false", pushed.Tag, "docker://"+addr+"/buildah:1")
	same("pushed by buildah", mustFetch(t, addr+"/buildah:1", Options{CacheDir: work + "/cache"}), nil)
}
