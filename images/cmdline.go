package images

import (
	"context"
	"fmt"
	"strings"

	"cloudlets/images/manifest"
)

// Cmdline renders the command line of a kernel entry point for one copy, as
// [Image.Overlay] renders its templates, and with the same configuration and
// env. The text may have no tags. The result is one line without spaces at
// its ends.
func (im *Image) Cmdline(ctx context.Context, render Renderer, text string, c manifest.Config, env map[string]any) (string, error) {
	line, err := im.cmdline(ctx, render, text, c, env)
	if err != nil {
		return "", fmt.Errorf("configure image %s: %w", im.Name, err)
	}
	return line, nil
}

// cmdlineName is what errors call the command line.
const cmdlineName = "kernel command line"

func (im *Image) cmdline(ctx context.Context, render Renderer, text string, c manifest.Config, env map[string]any) (string, error) {
	if !strings.Contains(text, "%") {
		return strings.TrimSpace(text), nil // as most are: there is nothing to render
	}
	c, err := im.Manifest.Complete(c)
	if err != nil {
		return "", err
	}
	data, err := templateData(im.Manifest, c, env)
	if err != nil {
		return "", err
	}
	out, err := render.Render(ctx, cmdlineName, []byte(text), data)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(out))
	if i := strings.IndexFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }); i >= 0 {
		return "", fmt.Errorf("%s: it renders to a text with the control character %q, and is to be one line", cmdlineName, line[i])
	}
	return line, nil
}
