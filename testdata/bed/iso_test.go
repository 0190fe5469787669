package bed_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
)

// isoCase is a live image, and a machine that boots it.
type isoCase struct {
	name string
	make func(ctx context.Context, t *testing.T) string // makes the image's file
	size int64                                          // of the stick; 0 is the image's
	spec bed.Spec
	disk bed.Disk // how the image is attached
}

// TestISO boots a live image as a CD; TestLongISO boots the other media and firmwares.
// What a person changes is there until the machine goes off.
func TestISO(t *testing.T) {
	alongside(t, 13)
	bootISOs(t, []isoCase{
		{"CD/BIOS", liveImage(small), 0, bed.Spec{MAC: "52:54:00:00:06:01", Firmware: bed.BIOS}, bed.Disk{CD: true}},
	})
}

// bootISOs boots live images. What is changed while they run is not on the medium, which
// no machine here could write to anyway: that is compared where one could.
func bootISOs(t *testing.T, cases []isoCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), smallPatience)
			t.Cleanup(stop)
			c.disk.File = c.make(ctx, t)
			c.spec.LocalOnly, c.spec.Disks = true, []bed.Disk{c.disk}
			image, err := os.ReadFile(c.disk.File)
			if err != nil {
				t.Fatal(err)
			}
			if c.size != 0 {
				if err := os.Truncate(c.disk.File, c.size); err != nil {
					t.Fatal(err)
				}
			}
			m := bootAlone(ctx, t, c.spec)
			expectSmall(ctx, t, m)
			logIn(ctx, t, m)
			changeAndLook(ctx, t, m)
			powerOff(ctx, t, m)
			if !c.disk.CD && !beginsWith(t, c.disk.File, image) {
				t.Errorf("the medium was changed while its system ran")
			}
		})
	}
}

// liveImage makes a live image of a small cloudlet.
func liveImage(image string, flags ...string) func(context.Context, *testing.T) string {
	return func(ctx context.Context, t *testing.T) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "live.iso")
		makeSmall(ctx, t, image, file, flags...)
		return file
	}
}

// changeAndLook changes a file of the image, adds one, and looks at both.
func changeAndLook(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	if err := m.Console.Type("echo more >>/etc/hostname && touch /new && cat /etc/hostname && stat -c '%n is %u:%g %a' / /new && grep -c ' / overlay ' /proc/mounts\n"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, `\nstick\r?\nmore\r?\n/ is 0:0 755\r?\n/new is 0:0 644\r?\n1\r?\n`)
}

// beginsWith says whether a file begins with some bytes.
func beginsWith(t *testing.T, file string, want []byte) bool {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(want))
	_, err = f.ReadAt(got, 0)
	return err == nil && bytes.Equal(got, want)
}
