package images

import (
	"context"
	"fmt"
	"strings"

	"cloudlets/images/manifest"
)

// Cmdline renders the command line of a kernel entry point for one copy of the
// image. It uses the same renderer, configuration and env as [Image.Overlay]
// does for templates. The text need not contain any template tags. The result
// is a single line without leading or trailing spaces.
func (im *Image) Cmdline(ctx context.Context, render Renderer, text string, c manifest.Config, env map[string]any) (string, error) {
	line, err := im.cmdline(ctx, render, text, c, env)
	if err != nil {
		return "", fmt.Errorf("configure image %s: %w", im.Name, err)
	}
	return line, nil
}

// cmdlineName is the name of the command line in errors.
const cmdlineName = "kernel command line"

func (im *Image) cmdline(ctx context.Context, render Renderer, text string, c manifest.Config, env map[string]any) (string, error) {
	if !strings.Contains(text, "%") {
		return strings.TrimSpace(text), nil // most command lines have no tags, so there is nothing to render
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
		return "", fmt.Errorf("%s: the rendered text has the control character %q, but it must be a single line", cmdlineName, line[i])
	}
	return line, nil
}
