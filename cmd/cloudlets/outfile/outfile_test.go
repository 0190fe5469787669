package outfile_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/outfile"
)

// verb is a command as it runs a verb.
func verb(ctx context.Context) *cobra.Command {
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	return cmd
}

// wantFiles compares a folder's files, and what is in them, with those that are wanted.
func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range found {
		if _, ok := want[entry.Name()]; !ok {
			t.Errorf("%s is left", entry.Name())
		}
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("%s has %q, %v; want %q", name, got, err, text)
		}
	}
}

// TestAFileAppearsWhenItIsComplete, and until then an older one of its name is whole.
func TestAFileAppearsWhenItIsComplete(t *testing.T) {
	for name, before := range map[string]map[string]string{"new": {}, "replaced": {"disk.raw": "old"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range before {
				writeFile(t, filepath.Join(dir, name), text)
			}
			f := outfile.Flags{Out: filepath.Join(dir, "disk.raw"), Force: true}
			err := f.Write(verb(t.Context()), func(_ context.Context, w io.Writer) error {
				if _, err := io.WriteString(w, "half"); err != nil {
					return err
				}
				if got, _ := os.ReadFile(f.Out); string(got) != before["disk.raw"] {
					t.Errorf("while it is written it has %q", got)
				}
				_, err := io.WriteString(w, " and half")
				return err
			})
			if err != nil {
				t.Error(err)
			}
			wantFiles(t, dir, map[string]string{"disk.raw": "half and half"})
		})
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsLeftOfWhatFailed, was interrupted or panicked: an older file is as it was.
func TestNothingIsLeftOfWhatFailed(t *testing.T) {
	broken := errors.New("the image is broken")
	for name, before := range map[string]map[string]string{"new": {}, "replaced": {"disk.raw": "old"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range before {
				writeFile(t, filepath.Join(dir, name), text)
			}
			f := outfile.Flags{Out: filepath.Join(dir, "disk.raw"), Force: true}
			ctx, interrupt := context.WithCancel(t.Context())
			for want, fail := range map[error]func(context.Context) error{
				broken: func(context.Context) error { return broken },
				context.Canceled: func(ctx context.Context) error {
					interrupt()
					return ctx.Err() // it is the verb's context
				},
			} {
				err := f.Write(verb(ctx), func(ctx context.Context, w io.Writer) error {
					_, err := io.WriteString(w, "half")
					return errors.Join(err, fail(ctx))
				})
				if !errors.Is(err, want) || !strings.Contains(err.Error(), "write "+f.Out+": ") {
					t.Errorf("the error is %v, want %v", err, want)
				}
				wantFiles(t, dir, before)
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic is lost")
					}
				}()
				_ = f.Write(verb(t.Context()), func(context.Context, io.Writer) error { panic("a fault") })
			}()
			wantFiles(t, dir, before)
		})
	}
}

// TestWhatIsThereStays: only --force replaces a file, and nothing replaces what is none. It
// is refused before any work is done.
func TestWhatIsThereStays(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "precious")
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		out   string
		force bool
		want  string
	}{
		{"file", false, "it is there already; --force replaces it"},
		{"folder", false, "is not a regular file: choose another name"},
		{"folder", true, "is not a regular file: choose another name"},
		{"file/disk.raw", true, "write "},
		{"nowhere/disk.raw", false, "there is no folder " + filepath.Join(dir, "nowhere") + ": make it first"},
	} {
		f := outfile.Flags{Out: filepath.Join(dir, filepath.FromSlash(test.out)), Force: test.force}
		err := f.Write(verb(t.Context()), func(context.Context, io.Writer) error {
			t.Errorf("%s is begun", test.out)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), f.Out) {
			t.Errorf("%s: error %v, want %q", test.out, err, test.want)
		}
	}
	for name, want := range map[string]string{"file": "a folder replaces nothing", "folder": "a folder replaces nothing", "file/new": "write ", "new": ""} {
		err := outfile.MayMake(filepath.Join(dir, filepath.FromSlash(name)))
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("a folder called %s: error %v, want %q", name, err, want)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(got) != "precious" {
		t.Errorf("the file has %q, %v", got, err)
	}
}

// TestStandardOutputIsOnlyAppendedTo: behind a redirection may be a file with content, which
// a writer of disks would otherwise seek in, or cut off.
func TestStandardOutputIsOnlyAppendedTo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	writeFile(t, name, "before ")
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := verb(t.Context())
	var f outfile.Flags
	f.Add(cmd)
	if err := cmd.ParseFlags(nil); err != nil {
		t.Fatal(err)
	}
	cmd.SetOut(out)
	err = f.Write(cmd, func(_ context.Context, w io.Writer) error {
		if _, ok := w.(io.Seeker); ok {
			t.Error("it can be sought in")
		}
		if _, ok := w.(interface{ Truncate(int64) error }); ok {
			t.Error("it can be cut off")
		}
		_, err := io.WriteString(w, "after")
		return err
	})
	if got, _ := os.ReadFile(name); err != nil || string(got) != "before after" {
		t.Errorf("the file has %q, %v", got, err)
	}
}
