package ejs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

func newSandbox(t *testing.T, o Options) *Sandbox {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := NewSandbox([]string{self, childArg}, o)
	t.Cleanup(func() { s.Close() })
	return s
}

func sandboxRender(t *testing.T, s *Sandbox, template string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := s.Render(ctx, "/etc/test", []byte(template), json.RawMessage(testData))
	return string(out), err
}

func mustRender(t *testing.T, s *Sandbox) {
	t.Helper()
	if out, err := sandboxRender(t, s, "<%= args.hostname %>"); err != nil || out != "web1" {
		t.Errorf("a good template renders %q, %v; want web1", out, err)
	}
}

func TestSandboxSurvivesHostileTemplates(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1, Limits: Limits{Time: time.Second, Output: 1 << 20}})
	const tooLong, tooMuch = "takes too long", "more memory than the 256 MiB allowed"
	for _, tt := range []struct {
		name, code string
		line       int // 0 if the child died without reporting a line
		want       []string
	}{
		{"endless loop", "while (true) {}", 2, []string{tooLong}},
		{"endless loop that does something", "while (true) { args.port + 1 }", 2, []string{tooLong}},
		{"terabyte string", "'x'.repeat(Math.pow(2, 40))", 0, []string{tooMuch}},
		{"join that cannot be interrupted", "Array(5e7).join('x')", 0, []string{tooLong, tooMuch}},
		{"growing array", "var a = []; for (;;) a.push(new Array(1000).join('xy') + a.length)", 0, []string{tooMuch, tooLong}},
		{"doubling string", "var s = 'x'; for (;;) s += s", 0, []string{tooMuch, tooLong, "Invalid string length"}},
		{"deep recursion", "function f() { return f() + 1 } f()", 2, []string{"2000 deep"}},
		{"deep data", "var a = []; for (var i = 0; i < 1e6; i++) a = [a]; JSON.stringify(a)", 0, []string{"nested too deep", tooMuch, tooLong, "deep"}},
		{"catastrophic expression", "/^(?=a)(a+)+$/.test(new Array(40).join('a') + 'b')", 0, []string{tooLong}},
		{"prototype pollution", "args.__proto__.hostname = 'evil'; Array.prototype.forEach = null", 2, []string{"adds to Object.prototype"}},
		{"terabyte array", "new Array(4294967295).join('xxxxxxxxxxxxxxxx')", 0, []string{tooMuch, tooLong, "Invalid"}},
		{"terabyte of zeros", "new ArrayBuffer(Math.pow(2, 40))", 0, []string{tooMuch, tooLong, "Invalid", "Range", "gave up"}},
		{"sort that does not end", "var a = []; for (var i = 0; i < 100; i++) a.push(i); a.sort(function () { for (;;) {} })", 2, []string{tooLong}},
		{"getter that does not end", "JSON.stringify({ get x() { for (;;) {} } })", 2, []string{tooLong}},
		{"text that takes for ever to make", "%><%= { toString: function () { for (;;) {} } }.x || [{ toString: function () { for (;;) {} } }] %><%", 2, []string{tooLong}},
		{"long reason", "throw 'x'.repeat(1e5)", 2, []string{"xxx…"}},
		{"gigabyte of output at once", "%><%= 'x'.repeat(1 << 30) %><%", 0, []string{"larger than the 1048576 bytes", tooMuch, tooLong}},
		{"gigabyte of output", "var s = 'x'.repeat(10000); for (var i = 0; i < 1e5; i++) { %><%= s %><% }", 2, []string{"larger than the 1048576 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := sandboxRender(t, s, "first line\n<% "+tt.code+" %>")
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("renders %.40q, %v; want an *Error", out, err)
			}
			if fault.Template != "/etc/test" || tt.line != 0 && fault.Line != tt.line {
				t.Errorf("error %q, want it at /etc/test, line %d", err, tt.line)
			}
			if !containsAny(fault.Reason, tt.want) {
				t.Errorf("reason %q, want one of %q", fault.Reason, tt.want)
			}
			t.Log(err)
			mustRender(t, s)
		})
	}
}

func containsAny(s string, words []string) bool {
	for _, word := range words {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

func TestSandboxReusesItsChild(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1})
	mustRender(t, s)
	first := s.idle[0].cmd.Process.Pid
	for range 20 {
		mustRender(t, s)
	}
	if _, err := sandboxRender(t, s, "<%= args.nothing %>"); err == nil {
		t.Error("a wrong template renders")
	}
	if again := s.idle[0].cmd.Process.Pid; again != first {
		t.Errorf("child %d was replaced by %d without need", first, again)
	}
}

func TestSandboxReplacesAChildThatDied(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1})
	mustRender(t, s)
	w := s.idle[0]
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The first render may use the dead child or a new one; the second one must
	// succeed.
	sandboxRender(t, s, "x")
	mustRender(t, s)
}

func TestSandboxIsForManyAtOnce(t *testing.T) {
	s := newSandbox(t, Options{Workers: 2})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for j := range 20 {
				want := fmt.Sprintf("%d-%d", i, j)
				out, err := s.Render(context.Background(), "x", []byte("<%= id %>"), json.RawMessage(`{"id": "`+want+`"}`))
				if err != nil || string(out) != want {
					t.Errorf("render = %q, %v; want %q", out, err, want)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.idle); n > 2 {
		t.Errorf("%d children for 2 workers", n)
	}
}

func TestSandboxAgreesWithRenderer(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1})
	template := "\xff\n<% dns.nameservers.forEach(function (n) { -%>\nnameserver <%= n %>\n<% }) -%>\n"
	inside, err1 := render(t, template)
	outside, err2 := sandboxRender(t, s, template)
	again, err3 := sandboxRender(t, s, template)
	if err := errors.Join(err1, err2, err3); err != nil || inside != outside || outside != again {
		t.Errorf("renders %q, %q, %q, %v", inside, outside, again, err)
	}
	_, err1 = render(t, "\n<%= args.x %>")
	_, err2 = sandboxRender(t, s, "\n<%= args.x %>")
	if fmt.Sprint(err1) != fmt.Sprint(err2) {
		t.Errorf("errors differ: %v, %v", err1, err2)
	}
}

func TestSandboxRendersLargeFiles(t *testing.T) {
	// The default memory is enough except with the race detector, which needs
	// several bytes for each one.
	s := newSandbox(t, Options{Workers: 1, Limits: Limits{Memory: 2 << 30, Time: 30 * time.Second}})
	template := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	out, err := s.Render(context.Background(), "large", template, json.RawMessage(testData))
	if err != nil || !bytes.Equal(out, template) {
		t.Errorf("1 MiB of text renders to %d bytes, %v", len(out), err)
	}
	if _, err := sandboxRender(t, s, "<% var s = 'x'.repeat(1024); for (var i = 0; i < 15 * 1024; i++) { %><%= s %><% } %>"); err != nil {
		t.Errorf("15 MiB of output: %v", err)
	}
	mustRender(t, s)
}

func TestSandboxEndsItsChildren(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1})
	mustRender(t, s)
	child := s.idle[0].cmd
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if child.ProcessState == nil {
		t.Errorf("child %d runs after Close, want it gone", child.Process.Pid)
	}
	if _, err := sandboxRender(t, s, "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("render after Close: %v, want ErrClosed", err)
	}
}

func TestSandboxStopsWithItsContext(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1, Limits: Limits{Time: time.Hour}})
	mustRender(t, s)
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("nobody waits")
	time.AfterFunc(20*time.Millisecond, func() { cancel(gone) })
	_, err := s.Render(ctx, "x", []byte("<% for (;;) {} %>"), json.RawMessage(`{}`))
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
	mustRender(t, s)
}

func TestSandboxTellsWhenItsCommandIsNoChild(t *testing.T) {
	for _, command := range [][]string{nil, {"/no/such/program"}, {"/bin/false"}, {"/bin/echo", "hello, this is no child"}} {
		s := NewSandbox(command, Options{})
		if _, err := sandboxRender(t, s, "x"); err == nil || !strings.Contains(err.Error(), "start the template process") {
			t.Errorf("command %q: %v", command, err)
		}
		s.Close()
	}
}

// TestSandboxSendsATemplateOnce runs a child inside the test and checks what
// the sandbox sends to it.
func TestSandboxSendsATemplateOnce(t *testing.T) {
	toChild, in := io.Pipe()
	out, fromChild := io.Pipe()
	var sent sentBytes
	c := &child{renderer: new(Renderer), memory: 1 << 40}
	c.renderer.Limits = c.renderer.Limits.orDefault()
	ended := make(chan error, 1)
	go func() { ended <- c.serve(io.TeeReader(toChild, &sent), fromChild) }()
	w := &worker{cmd: exec.Command("/bin/true"), in: in, out: out}
	template := []byte("<%= args.hostname %>" + strings.Repeat(" some text", 1000))
	render := func() int {
		t.Helper()
		sent = 0
		resp, out, err := w.render(context.Background(), "/etc/x", template, json.RawMessage(testData), Limits{}.orDefault())
		if err != nil || resp.Error != nil || !strings.HasPrefix(string(out), "web1 some") {
			t.Fatalf("renders %.20q, %+v, %v", out, resp, err)
		}
		return int(sent)
	}
	if first, second := render(), render(); first < len(template) || second > len(testData)+500 {
		t.Errorf("%d bytes are sent first and %d then, for a template of %d", first, second, len(template))
	}
	prog := c.renderer.programs[keyOf("/etc/x", template)]
	if render(); prog == nil || c.renderer.programs[keyOf("/etc/x", template)] != prog {
		t.Error("the template is compiled again")
	}
	c.renderer.programs = nil // as when there were too many
	if again := render(); again < len(template) {
		t.Errorf("a child that has forgotten the template gets %d bytes", again)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// sentBytes counts the bytes that are written to it.
type sentBytes int

func (n *sentBytes) Write(p []byte) (int, error) {
	*n += sentBytes(len(p))
	return len(p), nil
}

func TestSandboxRendersManyTemplates(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1})
	for round := range 2 {
		for i := range maxPrograms + 10 {
			want := fmt.Sprintf("web1 %d", i)
			if out, err := sandboxRender(t, s, fmt.Sprintf("<%%= args.hostname %%> %d", i)); err != nil || out != want {
				t.Fatalf("round %d: renders %q, %v; want %q", round, out, err, want)
			}
		}
	}
}

func TestSandboxRendersNothing(t *testing.T) {
	s := newSandbox(t, Options{Workers: 1})
	for range 2 {
		if out, err := sandboxRender(t, s, ""); out != "" || err != nil {
			t.Errorf("an empty template renders %q, %v", out, err)
		}
	}
	if _, err := s.Render(context.Background(), "x", nil, json.RawMessage(`[]`)); err == nil || !strings.Contains(err.Error(), "not a JSON object") {
		t.Errorf("data that is no object: %v", err)
	}
}

// TestChildRefusesWhatIsNoRequest sends a child frames that no parent sends.
func TestChildRefusesWhatIsNoRequest(t *testing.T) {
	frame := func(head any, body string) string {
		var b bytes.Buffer
		if err := writeFrame(&b, head, []byte(body)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	k := keyOf("x", []byte("y"))
	for name, text := range map[string]string{
		"cut off":                  frame(request{Key: k[:]}, "{}")[:20],
		"no JSON":                  "\x00\x00\x00\x01\x00\x00\x00\x00x",
		"a head of gigabytes":      "\xff\xff\xff\xff\x00\x00\x00\x00",
		"a body of gigabytes":      "\x00\x00\x00\x02\xff\xff\xff\xff{}",
		"no key":                   frame(request{}, "{}"),
		"template beyond the body": frame(request{Key: k[:], Template: 3}, "{}"),
		"negative template":        frame(request{Key: k[:], Template: -2}, "{}"),
	} {
		c := &child{renderer: &Renderer{Limits: Limits{}.orDefault()}, memory: 1 << 40}
		if err := c.serve(strings.NewReader(text), io.Discard); err == nil || !strings.Contains(err.Error(), "read a request") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
