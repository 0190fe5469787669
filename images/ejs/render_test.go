package ejs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

const testData = `{
	"args": {"hostname": "web1", "port": 8080, "none": null, "on": true, "tags": ["a", "b"], "quote": "<a & \"b\">"},
	"dns": {"nameservers": ["10.0.0.1", "10.0.0.2"]},
	"ip": {"interfaces": [{"name": "eth0", "address": "10.0.0.5"}]}
}`

func render(t *testing.T, template string) (string, error) {
	t.Helper()
	out, err := new(Renderer).Render(context.Background(), "/etc/test", []byte(template), json.RawMessage(testData))
	return string(out), err
}

func TestRender(t *testing.T) {
	for _, tt := range []struct{ name, template, want string }{
		{"empty", "", ""},
		{"no tags", "a\nb\n", "a\nb\n"},
		{"print", "host <%= args.hostname %>\n", "host web1\n"},
		{"print tight", "<%=args.port%>", "8080"},
		{"print escapes nothing", "<%= args.quote %>", `<a & "b">`},
		{"null prints nothing", "[<%= args.none %>]", "[]"},
		{"boolean", "<%= args.on %>", "true"},
		{"list", "<%= args.tags %>", "a,b"},
		{"zero and empty are values", "<%= 0 %>[<%= '' %>]", "0[]"},
		{"loop", "<% dns.nameservers.forEach(function (n) { %>nameserver <%= n %>\n<% }) %>", "nameserver 10.0.0.1\nnameserver 10.0.0.2\n"},
		{"loop of 2010, without var", "<% for (i in args.tags) { %><%= i %><%= args.tags[i] %><% } %>", "0a1b"},
		{"condition without braces", "<% if (args.port > 9000) %>high<% else %>low", "low"},
		{"comment", "a<%# not shown %>b", "ab"},
		{"comment over lines", "a<%# not\nshown %>b", "ab"},
		{"line comment in code", "<% var x = 1 // one %><%= x %>", "1"},
		{"line comment in print", "<%= args.port // the port %>", "8080"},
		{"eat newline", "<% if (true) { -%>\nx\n<% } -%>\ny", "x\ny"},
		{"eat CRLF", "a<% -%>\r\nb", "ab"},
		{"eat only one newline", "<% -%>\n\nb", "\nb"},
		{"keep newline", "<% %>\nb", "\nb"},
		{"literal open", "<%% x %%>", "<% x %>"},
		{"literal close in code", "<%= '%%>' %>", "%>"},
		{"percent signs", "100% <b%a> %", "100% <b%a> %"},
		{"two percents", "50%%", "50%%"},
		{"bytes that are not UTF-8", "\xff\xfe<%= 1 %>\x80", "\xff\xfe1\x80"},
		{"carriage returns stay", "a\r\nb\r\n", "a\r\nb\r\n"},
		{"template of its own functions", "<% function row(x) { %>row <%= x %>\n<% } row(1); row(2) %>", "row 1\nrow 2\n"},
		{"undefined may be asked for", "<% if (args.nothing) { %>yes<% } else { %>no<% } %>", "no"},
		{"semicolon", "<%= args.port; %>|<%= args.port ;\n%>", "8080|8080"},
		{"blanks dropped", "a\n \t<%_ if (true) { _%> \t\n  b\n  <%_ } _%>\nc <%_= 1 _%> d", "a\n  b\nc1d"},
		{"byte order mark", "\xef\xbb\xbfa<%= 1 %>\xef\xbb\xbf", "a1\xef\xbb\xbf"},
		{"underscore", "<% var _x_ = 1 %><%= _x_ %>", "1"},
		{"look-behind", "<%= 'a1b2'.replace(/(?<=a)1/, 'X') %>", "aXb2"},
		{"data is frozen", "<% args.hostname = 'x'; args.tags.x = 1; args = 5 %><%= args.hostname %>", "web1"},
		{"JSON", "<%= JSON.stringify(ip.interfaces[0]) %>", `{"name":"eth0","address":"10.0.0.5"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := render(t, tt.template)
			if err != nil || got != tt.want {
				t.Errorf("render %q = %q, %v; want %q", tt.template, got, err, tt.want)
			}
		})
	}
}

// TestLargeIntegers: integers that JavaScript's numbers cannot hold are printed
// as they are given, and nothing computes with them by mistake.
func TestLargeIntegers(t *testing.T) {
	data := json.RawMessage(`{"a": {"id": 12345678901234567891, "l": [1, -9007199254740993], "f": 1e3, "x": 1e22, "z": 1000000000000000000000, "__proto__": 9007199254740993}, "n": 9007199254740992, "e": 9.007199254740993e15}`)
	for template, want := range map[string]string{
		"<%= a.id %> <%= a.l %>":                            "12345678901234567891 1,-9007199254740993",
		"<%= a.f + 1 %> <%= n + 1 %>":                       "1001 9007199254740992",
		"<%= a.x %> <%= a.z %> <%= e %> <%= a.__proto__ %>": "1e+22 1000000000000000000000 9007199254740993 9007199254740993",
		"<%= a.id + 1 %>":                                   "error",
	} {
		out, err := new(Renderer).Render(t.Context(), "/etc/test", []byte(template), data)
		if err == nil && string(out) != want || err != nil && want != "error" {
			t.Errorf("%s gives %q, %v; want %q", template, out, err, want)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	for _, tt := range []struct {
		name, template string
		line           int
		want           []string
	}{
		{"undefined property", "a\nb\n<%= args.hostnme %>", 3, []string{"args.hostnme is undefined", "hostname, port"}},
		{"undefined property of an element", "<%= ip.interfaces[0].adress %>", 1, []string{"ip.interfaces[0].adress", "name, address"}},
		{"undefined property of a local", "\n<% ip.interfaces.forEach(function (x) { %>\n<%= x.adress %><% }) %>", 3, []string{"x.adress is undefined", "name, address"}},
		{"undefined variable", "\n<%= hostname %>", 2, []string{"hostname is not defined", "args, dns, ip"}},
		{"property of undefined", "\n\n<%= args.a.b %>", 3, []string{"'b' of undefined"}},
		{"object", "<%= args %>", 1, []string{"the value of args is of type object", "JSON.stringify(args)"}},
		{"function", "<%= args.tags.join %>", 1, []string{"is of type function"}},
		{"line after eaten newlines", "<% -%>\n<% -%>\n\n<%= args.x %>", 4, []string{"args.x"}},
		{"line in code over lines", "x\n<%\nvar a = 1;\nnope();\n%>", 4, []string{"nope is not defined"}},
		{"line in print over lines", "x\n<%=\n\nargs.x\n%>", 2, []string{"args.x is undefined"}},
		{"syntax", "a\n<% if ( { %>\n<% } %>", 2, []string{"Unexpected"}},
		{"open block", "a\n<% if (true) { %>\nb\n", 2, []string{"still open"}},
		{"unclosed tag", "a\n\n<% if (true) {\nb\n", 3, []string{"never closed"}},
		{"empty print", "a\n<%= %>", 2, []string{"expression is missing"}},
		{"npm's unescaped print", "<%- args.hostname %>", 1, []string{"<%= prints without escaping"}},
		{"clock", "\n<%= new Date() %>", 2, []string{"Date is not for templates"}},
		{"clock by call", "<%= Date.now() %>", 1, []string{""}},
		{"randomness", "<%= Math.random() %>", 1, []string{"Math.random is not for templates"}},
		{"thrown text", "\n<% throw 'no disk' %>", 2, []string{"no disk"}},
		{"thrown error", "\n<% throw new Error('no disk') %>", 2, []string{"no disk"}},
		{"thrown null", "<% throw null %>", 1, []string{"null"}},
		{"deep recursion", "\n<% function f() { return f() + 1 } f() %>", 2, []string{"2000 deep"}},
		{"files", "<% require('fs') %>", 1, []string{"require is not defined"}},
		{"code that is not UTF-8", "\n<% '\xff' %>", 2, []string{"not UTF-8"}},
		{"the compiler's own names", "<% __ejs_text(99) %>", 1, []string{"not for templates"}},
		{"syntax of a regular expression", "a\n<%= /(/.test('x') %>", 2, []string{"Unterminated group"}},
		{"prototype pollution", "a\n<% args.__proto__.admin = true %>\n<%= args.admin %>", 2, []string{"adds to Object.prototype"}},
		{"prototype pollution by merging", "a\nb\n<% function merge(a, b) { for (var k in b) if (typeof a[k] === 'object') merge(a[k], b[k]); else a[k] = b[k] }\nmerge({}, JSON.parse('{\"__proto__\": {\"x\": 1}}')) %>", 4, []string{"adds to Object.prototype"}},
		{"array pollution", "<% Array.prototype.x = 1 %>", 1, []string{"adds to Array.prototype"}},
		{"long reason", "\n<% throw 'x'.repeat(1e6) %>", 2, []string{"xxx…"}},
		{"compile-time", "a\n<% let x = 1; %>\n<% let x = 2; %>", 3, []string{"already been declared"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := render(t, tt.template)
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("render %q = %q, %v; want an *Error", tt.template, out, err)
			}
			if fault.Line != tt.line || fault.Template != "/etc/test" {
				t.Errorf("error is at %s line %d, want line %d: %v", fault.Template, fault.Line, tt.line, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestRenderBoundsLoopsAndOutput(t *testing.T) {
	for template, want := range map[string]string{
		"\n<% while (true) { args.port + 1 } %>":          "line 2: it takes too long",
		"\n\n<% for (;;) { %>x<% } %>":                    "line 3: the result is larger than the 1000 bytes",
		"\n<%= 'x'.repeat(1001) %>":                       "line 2: the result is larger",
		"\n<% while (true) {} %>":                         "line 2: it takes too long",
		"\n<% try { for (;;) {} } catch (e) {} %>caught":  "line 2: it takes too long",
		"\n<% for (;;) { try { %>x<% } catch (e) {} } %>": "line 2: it takes too long",
	} {
		r := &Renderer{Limits: Limits{Time: 50 * time.Millisecond, Output: 1000}}
		if strings.Contains(want, "larger") {
			r.Limits.Time = time.Hour
		}
		_, err := r.Render(context.Background(), "/etc/test", []byte(template), json.RawMessage(testData))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("render %q: error %v, want %q", template, err, want)
		}
	}
}

func TestRenderStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("nobody waits")
	r := &Renderer{Limits: Limits{Time: time.Hour}}
	time.AfterFunc(10*time.Millisecond, func() { cancel(gone) })
	_, err := r.Render(ctx, "/etc/test", []byte("<% for (;;) {} %>"), json.RawMessage(`{}`))
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}

func TestRenderRefusesDataThatIsNoObject(t *testing.T) {
	for _, data := range []string{``, `[]`, `null`, `{`, `5`} {
		if out, err := new(Renderer).Render(context.Background(), "x", []byte("a"), json.RawMessage(data)); err == nil {
			t.Errorf("data %q renders %q, want an error", data, out)
		}
	}
}

func TestRendersDoNotMeet(t *testing.T) {
	r := new(Renderer)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				out, err := r.Render(context.Background(), "x", []byte("<% n = (typeof n === 'undefined' ? 0 : n) + 1; Array.prototype.join = n %><%= n %><%= typeof [].join %>"), json.RawMessage(`{}`))
				if err != nil || string(out) != "1number" {
					t.Errorf("render = %q, %v; want 1number", out, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestGoldens renders the archives in testdata. Each contains a template, its
// data, and the wanted result or error.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %v, %v", files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string][]byte{}
			for _, f := range txtar.Parse(text).Files {
				parts[f.Name] = f.Data
			}
			out, err := new(Renderer).Render(context.Background(), "/template", parts["template"], parts["data.json"])
			if err != nil {
				out = []byte(err.Error() + "\n")
			}
			if !bytes.Equal(out, parts["want"]) {
				t.Errorf("got:\n%s\nwant:\n%s", out, parts["want"])
			}
		})
	}
}

// FuzzCompile compiles any text. The result must be a program, or an error with
// a line that the template has.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"a<%= args.hostname %>b", "<% for (i in args) { -%>\n<%= i %><% } %>", "<%% %%> <%# x %>", "<%", "%>", "<%=%>",
		"<%- x %>", "\xff<% '\xff' %>", "<% } %>", "<%= /(?=a)/.test('a') // %>", "<%= new Date %>",
	} {
		f.Add([]byte(seed))
	}
	// Render only text without code, since that always ends. A time limit would
	// depend on how busy the computer is.
	r := &Renderer{Limits: Limits{Time: time.Hour, Output: 1 << 16}}
	f.Fuzz(func(t *testing.T, template []byte) {
		if len(template) > 1000 {
			return
		}
		prog, err := compile("fuzz", template)
		if err != nil {
			var fault *Error
			if !errors.As(err, &fault) || fault.Line > bytes.Count(template, []byte("\n"))+1 {
				t.Fatalf("compile %q: %#v", template, err)
			}
			return
		}
		if bytes.Contains(template, []byte("<%")) {
			return // what the code does is the sandbox's business
		}
		out, err := r.Render(context.Background(), prog.name, template, json.RawMessage(testData))
		want := bytes.ReplaceAll(template, []byte("%%>"), []byte("%>"))
		if err != nil || !bytes.Equal(out, want) {
			t.Fatalf("text %q renders %q, %v", template, out, err)
		}
	})
}
