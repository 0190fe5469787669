package main

import (
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// completionSite is a site with something of everything that is completed.
func completionSite() map[string]string {
	return map[string]string{
		"profiles/web.json": `{"tags": ["rack3"]}`, "profiles/db.json": "{}", "images/debian/.cloudlet/manifest": "{}", "images/memtest/.cloudlet/manifest": "{}",
		"machines/52:54:00:00:00:01.json": `{"extends": "web", "hostname": "node1"}`,
		"machines/52:54:00:00:00:02.json": `{"extends": "web", "hostname": "node2", "tags": ["spare"]}`,
		"machines/52:54:00:00:00:03.json": `{}`,
	}
}

// completed are the words that a shell is given, without what stands beside them.
func completed(t *testing.T, socket string, line ...string) (words []string) {
	t.Helper()
	out, err := runVerb(t, append([]string{"__complete", "--socket", socket}, line...)...)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	for word := range strings.Lines(out) {
		word, _, _ = strings.Cut(strings.TrimSpace(word), "\t")
		if strings.HasPrefix(word, ":") {
			break
		}
		words = append(words, word)
	}
	return words
}

var completions = []struct {
	line string
	want string
}{
	{"machines --profile ", "db web"},
	{"machines --image ", "debian memtest"},
	{"machines --tag ", "rack3 spare"},
	{"approve --profile ", "db web"},
	{"approve --image ", "debian memtest"},
	{"machines ", "52:54:00:00:00:03 node1 node2"},
	{"machines nod", "node1 node2"},
	{"machines node1 ", "52:54:00:00:00:03 node2"},
	{"install 52:54:00:00:00:0", "52:54:00:00:00:01 52:54:00:00:00:02 52:54:00:00:00:03"},
	{"trace node1 ", ""},
	{"boot --once ", "kernel live local rescue"},
	{"boot --once kernel ", "52:54:00:00:00:03 node1 node2"},
	{"boot --once kernel node1 ", "52:54:00:00:00:03 debian memtest node2"},
	{"boot --once local node1 ", "52:54:00:00:00:03 node2"},
}

func checkCompletions(t *testing.T, socket string) {
	t.Helper()
	for _, c := range completions {
		got := completed(t, socket, strings.Split(c.line, " ")...)
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, want %s", c.line, got, c.want)
		}
	}
}

// TestCompletion: words come from the daemon, or else from the site in the current folder.
func TestCompletion(t *testing.T) {
	b := newAPIBed(t, completionSite())
	checkCompletions(t, b.socket)
	t.Chdir(b.dir)
	checkCompletions(t, filepath.Join(b.dir, "no socket"))
	t.Chdir(t.TempDir())
	if got := completed(t, filepath.Join(b.dir, "no socket"), "machines", "--profile", ""); len(got) > 0 {
		t.Errorf("a folder that is no site has %q", got)
	}
}

// TestCompletionEnds: a daemon that never answers does not hold up a shell for long.
func TestCompletionEnds(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked, released := make(chan struct{}, 1), make(chan struct{})
	daemon, done := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-released
	})}, make(chan error, 1)
	go func() { done <- daemon.Serve(listener) }()
	defer func() {
		close(released)
		daemon.Close()
		<-done
	}()
	t.Chdir(t.TempDir())
	words := make(chan []string, 1)
	go func() { words <- completed(t, socket, "machines", "--tag", "") }()
	select {
	case got := <-words:
		if len(got) > 0 {
			t.Errorf("it gives %q", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it still waits for the daemon")
	}
	<-asked
}

// TestCompletionOfUpdates: files are completed where an image is wanted, and nowhere else.
func TestCompletionOfUpdates(t *testing.T) {
	for line, want := range map[string]string{
		"update ": ":0", "update web.tar ": ":4", "update --rollback ": ":4", "update --roll": "--rollback :4", "update --assets ": ":16",
		"disk web.tar --slots ": "1 2 :4", "raw web.tar web.img --slots ": "1 2 :4",
	} {
		out, err := runVerb(t, append([]string{"__complete"}, strings.Split(line, " ")...)...)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		var got []string
		for word := range strings.Lines(out) {
			word, _, _ = strings.Cut(strings.TrimSpace(word), "\t")
			if got = append(got, word); strings.HasPrefix(word, ":") { // the directive, which ends the words
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %s", line, got, want)
		}
	}
}
