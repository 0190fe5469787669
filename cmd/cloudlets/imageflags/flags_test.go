package imageflags_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
)

// TestSize: a size is more than nothing, and what the help shows of one can be
// typed. Without one the help shows no default.
func TestSize(t *testing.T) {
	for text, want := range map[string]imageflags.Size{"16GiB": 16 << 30, "500GB": 500e9, "1MiB": 1 << 20} {
		var s imageflags.Size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%s is %d, %v", text, s, err)
		}
		var again imageflags.Size
		if err := again.Set(s.String()); err != nil || again != want {
			t.Errorf("the help shows %s for %s, which is %d, %v", s.String(), text, again, err)
		}
	}
	for _, text := range []string{"0", "0GiB", "-1GiB", "", "big"} {
		var s imageflags.Size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
	if none := new(imageflags.Size).String(); none != "" {
		t.Errorf("the help shows %s", none)
	}
}

// TestEnvironment: the values of --env may have any character, and what has no name is a
// mistake in the command line.
func TestEnvironment(t *testing.T) {
	f := imageflags.Config{Env: []string{"hostname=web1", "args=a=b", "empty="}}
	got, err := f.Environment("disk")
	if want := map[string]any{"target": "disk", "hostname": "web1", "args": "a=b", "empty": ""}; err != nil || !maps.Equal(got, want) {
		t.Errorf("templates see %v, %v", got, err)
	}
	for _, word := range []string{"hostname", "=web1", ""} {
		f := imageflags.Config{Env: []string{"good=1", word}}
		_, err := f.Environment("disk")
		if coded, ok := errors.AsType[exit.Error](err); !ok || coded.Code != exit.Usage || !strings.Contains(err.Error(), "--env "+word+": write name=value") {
			t.Errorf("--env %q: error %v", word, err)
		}
	}
}

// TestConfigurations come from the command line, from a file or from standard input, which is
// read once. An error names where the mistake is.
func TestConfigurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web1.json")
	const text, wrong = `{"args": {"role": "web"}}`, `{"args": [}`
	for _, test := range []struct{ config, inFile, stdin, name string }{
		{text, "", "", "the command line"}, {"@" + file, text, "", file}, {"-", "", text, "standard input"},
	} {
		if err := os.WriteFile(file, []byte(test.inFile), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := &cobra.Command{}
		cmd.SetIn(strings.NewReader(test.stdin))
		f := imageflags.Config{Config: test.config}
		for range 2 {
			if c, err := f.Load(cmd); err != nil || c.Args["role"] != "web" {
				t.Errorf("from %s: %v, %v", test.name, c.Args, err)
			}
		}
		replaced := strings.NewReplacer(text, wrong)
		if err := os.WriteFile(file, []byte(replaced.Replace(test.inFile)), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.SetIn(strings.NewReader(replaced.Replace(test.stdin)))
		f = imageflags.Config{Config: replaced.Replace(test.config)}
		if _, err := f.Load(cmd); err == nil || !strings.HasPrefix(err.Error(), "config in "+test.name+":1:11: ") {
			t.Errorf("a mistake in %s: error %v", test.name, err)
		}
	}
	if _, err := (&imageflags.Config{Config: "@" + file + ".none"}).Load(&cobra.Command{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "read the configuration: ") {
		t.Errorf("a file that is not there: error %v", err)
	}
	var none imageflags.Config
	if c, err := none.Load(&cobra.Command{}); err != nil || len(c.Args) > 0 || none.Given() {
		t.Errorf("without a configuration: %v, %v", c.Args, err)
	}
}

// TestInputIsBounded: a stream without an end does not fill the memory.
func TestInputIsBounded(t *testing.T) {
	cmd, in := &cobra.Command{}, &spaces{}
	cmd.SetIn(in)
	_, _, err := imageflags.ReadInput(cmd, "-")
	if err == nil || err.Error() != "read standard input: it is longer than the 16 MiB allowed" {
		t.Errorf("the error is %v", err)
	}
	if in.read > 2*imageflags.MaxText {
		t.Errorf("%d bytes were read", in.read)
	}
	cmd.SetIn(io.LimitReader(&spaces{}, imageflags.MaxText))
	if name, text, err := imageflags.ReadInput(cmd, "-"); err != nil || name != "standard input" || len(text) != imageflags.MaxText {
		t.Errorf("%s has %d bytes, %v", name, len(text), err)
	}
}

// spaces is a stream without an end, up to the point at which a test would take too much memory.
type spaces struct{ read int }

func (s *spaces) Read(p []byte) (int, error) {
	if s.read > 64<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = ' '
	}
	s.read += len(p)
	return len(p), nil
}
