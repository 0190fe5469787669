package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"cloudlets/images/manifest"
)

// Renderer renders one template. The name, its path in the image, is for
// errors, which also tell the template's line. The data is a JSON object
// whose members are what the template sees. Package ejs has two.
type Renderer interface {
	Render(ctx context.Context, name string, template []byte, data json.RawMessage) ([]byte, error)
}

// maxTemplate is the largest template that is read, in bytes.
const maxTemplate = 4 << 20

// Overlay renders the image's templates, as they are in tree, for one copy:
// the configuration is completed by the manifest, and env is what is known
// of the copy beyond it ("mac", "hostname", "target"). Each file keeps the
// owner, mode, time and extended attributes of its template, so the same
// input gives the same overlay. Last comes the record of the configuration.
//
// A template that is a link is rendered in the place that the link leads to;
// one that is volatile is no part of a copy, and left out.
//
// An image that is a configured copy has no templates any more: nothing is
// what differs from it, and a configuration for it is [ErrConfigured].
func (im *Image) Overlay(ctx context.Context, tree Tree, render Renderer, c manifest.Config, env map[string]any) (Overlay, error) {
	overlay, err := im.overlay(ctx, tree, render, c, env)
	if err != nil {
		return nil, fmt.Errorf("configure image %s: %w", im.Name, err)
	}
	return overlay, nil
}

// ErrConfigured says that a copy was configured before: its templates are gone.
var ErrConfigured = errors.New("it was configured already, as " + AppliedConfigPath + " tells; take the image that it was made from")

func (im *Image) overlay(ctx context.Context, tree Tree, render Renderer, c manifest.Config, env map[string]any) (Overlay, error) {
	_, err := tree.Entry(AppliedConfigPath)
	switch {
	case err == nil && c.IsZero():
		return nil, nil
	case err == nil:
		return nil, ErrConfigured
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if c, err = im.Manifest.Complete(c); err != nil {
		return nil, err
	}
	overlay, err := im.render(ctx, tree, render, im.Manifest.Templates, c, env)
	if err != nil {
		return nil, err
	}
	record, err := appliedConfig(tree, c)
	return append(overlay, record), err
}

// Render is what some of the image's templates become, as in
// [Image.Overlay]; none named is all.
func (im *Image) Render(ctx context.Context, tree Tree, render Renderer, names []string, c manifest.Config, env map[string]any) ([]File, error) {
	for i, name := range names {
		names[i] = CleanPath(name)
		if !slices.Contains(im.Manifest.Templates, names[i]) {
			return nil, fmt.Errorf("render %s of image %s: it is no template; there are %s", name, im.Name, strings.Join(im.Manifest.Templates, ", "))
		}
	}
	if len(names) == 0 {
		names = im.Manifest.Templates
	}
	c, err := im.Manifest.Complete(c)
	if err == nil {
		var files []File
		if files, err = im.render(ctx, tree, render, names, c, env); err == nil {
			return files, nil
		}
	}
	return nil, fmt.Errorf("render image %s: %w", im.Name, err)
}

// render renders templates with a configuration that is complete.
func (im *Image) render(ctx context.Context, tree Tree, render Renderer, names []string, c manifest.Config, env map[string]any) (Overlay, error) {
	data, err := templateData(im.Manifest, c, env)
	if err != nil {
		return nil, err
	}
	var overlay Overlay
	for _, name := range names {
		if im.Manifest.IsVolatile(name) {
			continue
		}
		f, err := renderFile(ctx, tree, render, name, data)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(overlay, func(other File) bool { return other.Path == f.Path }) {
			overlay = append(overlay, f)
		}
	}
	return overlay, nil
}

// templateData is what templates see.
func templateData(m *manifest.Manifest, c manifest.Config, env map[string]any) (json.RawMessage, error) {
	if env == nil {
		env = map[string]any{}
	}
	data, err := json.Marshal(map[string]any{
		"args": c.Args, "dns": c.DNS, "ip": c.IP, "config": c, "env": env, "manifest": m,
	})
	if err != nil {
		return nil, fmt.Errorf("make the data for its templates: %w", err)
	}
	return data, nil
}

// renderFile renders one template of the tree.
func renderFile(ctx context.Context, tree Tree, render Renderer, name string, data json.RawMessage) (File, error) {
	real, err := Resolve(tree, name)
	if err != nil {
		return File{}, fmt.Errorf("template %s: %w; correct \"templates\" in the manifest", name, err)
	}
	e, err := tree.Entry(real)
	if err == nil && e.Type == HardLink {
		e, err = tree.Entry(e.Link)
	}
	if err != nil {
		return File{}, fmt.Errorf("template %s: %w", name, err)
	}
	if e.Type != Regular {
		return File{}, fmt.Errorf("template %s: it is not a regular file; correct \"templates\" in the manifest", name)
	}
	text, err := ReadFile(tree, real, maxTemplate)
	if err != nil {
		return File{}, fmt.Errorf("template %s: %w", name, err)
	}
	out, err := render.Render(ctx, name, text, data)
	if err != nil {
		return File{}, err
	}
	e.Path, e.Size, e.Link = real, int64(len(out)), ""
	return File{Entry: e, Content: out}, nil
}

// appliedConfig records the configuration. Its time is that of the manifest:
// one that changes would make two equal overlays differ.
func appliedConfig(tree Tree, c manifest.Config) (File, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(c); err != nil {
		return File{}, fmt.Errorf("record the configuration: %w", err)
	}
	modified := time.Unix(0, 0).UTC()
	if e, err := tree.Entry(ManifestPath); err == nil {
		modified = e.ModTime
	}
	return File{
		Entry:   Entry{Path: AppliedConfigPath, Type: Regular, Mode: 0o644, Size: int64(text.Len()), ModTime: modified},
		Content: text.Bytes(),
	}, nil
}
