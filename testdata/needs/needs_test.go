package needs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// ended is a test that only notes how it was ended.
type ended struct {
	testing.TB
	how string
}

func (e *ended) Helper() {}

func (e *ended) Skip(args ...any) { e.end("skipped", args) }

func (e *ended) Fatal(args ...any) { e.end("failed", args) }

func (e *ended) Fatalf(format string, args ...any) { e.Fatal(fmt.Sprintf(format, args...)) }

func (e *ended) end(how string, args []any) {
	e.how = how + ": " + fmt.Sprint(args...)
	runtime.Goexit()
}

// end runs part of a test, and returns how it ended the test: "" if it did not.
func end(part func(testing.TB)) string {
	e := &ended{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		part(e)
	}()
	<-done
	return e.how
}

// TestModule: a folder below the module's finds it, and one outside has none.
func TestModule(t *testing.T) {
	want, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if got := Module(t); got != want {
		t.Errorf("the module is at %s, want %s", got, want)
	}
	t.Chdir(t.TempDir())
	if how := end(func(t testing.TB) { Module(t) }); !strings.Contains(how, "go.mod") {
		t.Errorf("outside of a module the test ended with %q, which does not name go.mod", how)
	}
}

// TestMissing: what is missing fails a test, and skips a short one.
func TestMissing(t *testing.T) {
	for short, want := range map[bool]string{true: "skipped: there is no x", false: "failed: there is no x"} {
		if got := end(func(t testing.TB) { missing(t, short, "there is no x") }); got != want {
			t.Errorf("with short %v the test is %q, want %q", short, got, want)
		}
	}
}

func TestWhatIsFound(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "such-a-tool")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := Tool(t, "such-a-tool", "a-package"); got != tool {
		t.Errorf("the tool is found at %s, not %s", got, tool)
	}
	File(t, dir, "a-package")
	if got := Made(t, dir+"/such-*", "a-target"); got != tool {
		t.Errorf("the file is found at %s, not %s", got, tool)
	}
	for name, part := range map[string]func(testing.TB){
		"no-such-file-*":      func(t testing.TB) { Made(t, dir+"/no-such-file-*", "some-package") },
		"no-such-tool":        func(t testing.TB) { Tool(t, "no-such-tool", "some-package") },
		dir + "/no-such-file": func(t testing.TB) { File(t, dir+"/no-such-file", "some-package") },
	} {
		if how := end(part); !strings.Contains(how, name) || !strings.Contains(how, "some-package") {
			t.Errorf("without %s the test ended with %q, which names it or its package nowhere", name, how)
		}
	}
}
