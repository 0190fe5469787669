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

// Renderer renders templates. The name is the template's path in the image; it
// appears in errors, together with the line in the template. The data is a JSON
// object, and its members are the variables of the template. Package ejs has
// two implementations.
type Renderer interface {
	Render(ctx context.Context, name string, template []byte, data json.RawMessage) ([]byte, error)
}

// maxTemplate is the maximum size of a template in bytes.
const maxTemplate = 4 << 20

// Overlay renders the image's templates for one copy of the image. It reads the
// templates from tree and completes the configuration with the defaults of the
// manifest. env has the facts about this copy that the configuration does not
// contain, e.g. "mac", "hostname" and "target". Each rendered file keeps the
// owner, mode, time and extended attributes of its template, so the same input
// always gives the same overlay. The record of the configuration is the last
// file of the overlay.
//
// If a template is a symbolic link, the rendered file gets the path to which
// the link leads. A template in a volatile path is left out, because volatile
// files do not belong to a copy.
//
// An image that is itself a configured copy no longer has templates. For such
// an image the overlay is empty, and any configuration gives [ErrConfigured].
func (im *Image) Overlay(ctx context.Context, tree Tree, render Renderer, c manifest.Config, env map[string]any) (Overlay, error) {
	overlay, err := im.overlay(ctx, tree, render, c, env)
	if err != nil {
		return nil, fmt.Errorf("configure image %s: %w", im.Name, err)
	}
	return overlay, nil
}

// ErrConfigured means that the image is a copy that was configured before, so
// its templates are gone.
var ErrConfigured = errors.New("it was already configured (it has " + AppliedConfigPath + "); use the image from which it was made")

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

// Render returns some of the image's templates, rendered as in [Image.Overlay].
// If names is empty, it renders all templates.
func (im *Image) Render(ctx context.Context, tree Tree, render Renderer, names []string, c manifest.Config, env map[string]any) ([]File, error) {
	for i, name := range names {
		names[i] = CleanPath(name)
		if !slices.Contains(im.Manifest.Templates, names[i]) {
			return nil, fmt.Errorf("render %s of image %s: it is not a template; the templates are %s", name, im.Name, strings.Join(im.Manifest.Templates, ", "))
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

// render renders templates. The configuration must be complete.
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

// templateData returns the JSON object with the variables of a template.
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

// renderFile renders one template of the tree. It follows symbolic and hard
// links.
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

// appliedConfig returns the record of the configuration. It has the
// modification time of the manifest: with the current time, two equal overlays
// would differ.
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
