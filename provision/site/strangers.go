package site

import (
	"fmt"
	"maps"
	"slices"

	"cloudlets/images/jsontext"
)

// checkStrangers reports what the rules for strangers name and is not there.
func (r *siteReader) checkStrangers(v *view) {
	s := v.settings.Strangers
	check := func(what, image string) {
		if _, there := v.imagePath(image); image != "" && !there {
			hint := jsontext.DidYouMean(image, slices.Collect(maps.Keys(v.images)))
			r.report(jsontext.About(SettingsFile, "%s names the image %q, which is not in %s/%s", what, image, imagesDir, hint))
		}
	}
	check(`"strangers"`, s.Image)
	for i, rule := range s.Rules {
		what := fmt.Sprintf(`rule %d of "strangers"`, i+1)
		check(what, rule.Image)
		if _, there := r.profiles[rule.Profile]; rule.Profile != "" && !there {
			hint := jsontext.DidYouMean(rule.Profile, slices.Collect(maps.Keys(r.profiles)))
			r.report(jsontext.About(SettingsFile, "%s names the profile %q, and there is no profiles/%s.json%s", what, rule.Profile, rule.Profile, hint))
		}
	}
}
