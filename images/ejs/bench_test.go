package ejs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// kickstart is a template of the size of an installer's answer file: about 4 KB
// and 40 tags.
func kickstart() []byte {
	var b strings.Builder
	b.WriteString("# answers for <%= args.hostname %>\n<% dns.nameservers.forEach(function (n) { -%>\nnameserver <%= n %>\n<% }) -%>\n")
	b.WriteString("<% if (args.port > 1024) { -%>\nport <%= args.port %>\n<% } else { -%>\nport low\n<% } -%>\n")
	for i := range 30 {
		fmt.Fprintf(&b, "network --device=eth%d --hostname=<%%= args.hostname %%>-%d --bootproto=static --mtu=1500\n%s\n", i, i, strings.Repeat("# text ", 5))
	}
	return []byte(b.String())
}

func TestKickstartIsOne(t *testing.T) {
	text := kickstart()
	if tags := bytes.Count(text, []byte("<%")); len(text) < 3500 || tags < 38 || tags > 42 {
		t.Errorf("%d bytes and %d tags, want about 4 KB and 40", len(text), tags)
	}
}

// BenchmarkKickstart renders a template of this size repeatedly, within the
// process and in a child process. The latter includes both ends of the pipe.
func BenchmarkKickstart(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	s := NewSandbox([]string{self, childArg}, Options{Workers: 1})
	defer s.Close()
	text := kickstart()
	b.Run("process", func(b *testing.B) { benchRender(b, new(Renderer).Render, text) })
	b.Run("sandbox", func(b *testing.B) { benchRender(b, s.Render, text) })
}

func benchRender(b *testing.B, render func(context.Context, string, []byte, json.RawMessage) ([]byte, error), text []byte) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := render(context.Background(), "/etc/ks.cfg", text, json.RawMessage(testData)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "renders/s")
}
