package oci

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// candidate is one of the images in a bundle.
type candidate struct {
	names    []string     // tags, with or without the rest of the name; digests
	platform *v1.Platform // nil if unknown
	digest   v1.Hash
	docker   int // its index in an archive of docker
}

func (c candidate) String() string {
	text := strings.Join(c.names, " ")
	if c.platform != nil {
		text += " (" + c.platform.String() + ")"
	}
	return text
}

// called reports whether ref means this image. ref may be one of its names, or
// the tag at the end of one.
func (c candidate) called(ref string) bool {
	return slices.ContainsFunc(c.names, func(name string) bool {
		return name == ref || strings.HasSuffix(name, ":"+ref) || strings.HasSuffix(name, "/"+ref)
	})
}

// choose selects the image that the options mean.
func choose(all []candidate, opt Options) (candidate, error) {
	if len(all) == 0 {
		return candidate{}, errors.New("it contains no image")
	}
	some := all
	if opt.Ref != "" {
		some = keep(all, func(c candidate) bool { return c.called(opt.Ref) })
		if len(some) == 0 {
			return candidate{}, fmt.Errorf("it has no image %q; it has %s", opt.Ref, listOf(all))
		}
	}
	if some = distinct(some); len(some) == 1 {
		return some[0], nil
	}
	want, err := wanted(opt.Platform)
	if err != nil {
		return candidate{}, err
	}
	suited := keep(some, func(c candidate) bool { return c.platform == nil || c.platform.Satisfies(want) })
	switch len(suited) {
	case 0:
		return candidate{}, fmt.Errorf("it has no image for %s; it has %s", want, listOf(some))
	case 1:
		return suited[0], nil
	}
	return candidate{}, fmt.Errorf("it has several images; name one as FILE:TAG (a stream must become a file first), or choose a platform: %s", listOf(suited))
}

// wanted returns the platform to look for.
func wanted(platform string) (v1.Platform, error) {
	if platform == "" {
		return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	p, err := v1.ParsePlatform(platform)
	if err != nil || p.Architecture == "" {
		return v1.Platform{}, fmt.Errorf("%q is not a platform: write it like linux/arm64", platform)
	}
	return *p, nil
}

// checkPlatform checks the platform of an image that was the only one.
func checkPlatform(c v1.ConfigFile, platform string) error {
	if platform == "" {
		return nil
	}
	want, err := wanted(platform)
	if err != nil {
		return err
	}
	is := v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
	want.OSVersion, want.OSFeatures, want.Features = "", nil, nil
	if want.Variant != "" && is.Variant == "" {
		want.Variant = "" // the image does not state a variant, so any will do
	}
	if !is.Satisfies(want) {
		return fmt.Errorf("the image is for %s, not for %s", is, platform)
	}
	return nil
}

func keep(all []candidate, suits func(candidate) bool) []candidate {
	var some []candidate
	for _, c := range all {
		if suits(c) {
			some = append(some, c)
		}
	}
	return some
}

// distinct removes duplicates, which are the same image under another name.
func distinct(all []candidate) []candidate {
	seen := map[v1.Hash]bool{}
	return keep(all, func(c candidate) bool {
		again := seen[c.digest]
		seen[c.digest] = true
		return !again
	})
}

// maxListed is the maximum number of images that an error lists.
const maxListed = 20

func listOf(all []candidate) string {
	var texts []string
	for _, c := range all {
		texts = append(texts, c.String())
	}
	if n := len(texts) - maxListed; n > 0 {
		texts = append(texts[:maxListed], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(texts, ", ")
}
