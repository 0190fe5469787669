//go:build linux

package images_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/ejs"
	"cloudlets/images/imagetest"
	"cloudlets/images/manifest"
)

func TestCmdline(t *testing.T) {
	im := &images.Image{Name: "web", Manifest: imagetest.Manifest(t, `{"args": {"console": {"type": "string", "default": "ttyS0"}, "hostname": {"type": "string"}}}`)}
	config := imagetest.Config(t, `{"args": {"hostname": "a"}}`)
	env := map[string]any{"mac": "52:54:00:00:00:01"}
	for text, want := range map[string]string{
		"": "", " quiet  splash ": "quiet  splash", "console=<%= args.console %> quiet": "console=ttyS0 quiet",
		"host=<%= args.hostname %> mac=<%= env.mac %> <% if (args.debug) { %>debug<% } %>": "host=a mac=52:54:00:00:00:01", "x=50%": "x=50%", "<%% %%>": "<% %>",
	} {
		got, err := im.Cmdline(context.Background(), new(ejs.Renderer), text, config, env)
		if err != nil || got != want {
			t.Errorf("%q renders %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"a <%= args.hostnme %>":    "configure image web: template kernel command line, line 1: args.hostnme is undefined; there is console, hostname",
		"a<%= '\\n' %>b":           `control character '\n'`,
		"a<%= '\\u0000' %>b":       "control character",
		"<%= args.hostname %":      "never closed",
		"<% throw new Error(1) %>": "kernel command line, line 1: 1",
	} {
		if got, err := im.Cmdline(context.Background(), new(ejs.Renderer), text, config, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q renders %q, %v; want %q", text, got, err, want)
		}
	}
	if _, err := im.Cmdline(context.Background(), new(ejs.Renderer), "<%= args.console %>", manifest.Config{}, nil); err == nil || !strings.Contains(err.Error(), "/args/hostname: is missing") {
		t.Errorf("a wrong configuration: %v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("nobody waits")
	cancel(gone)
	if _, err := im.Cmdline(ctx, stuck{}, "<%= 1 %>", config, nil); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}
