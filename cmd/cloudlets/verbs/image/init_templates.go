package image

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/atomicfile"
	"cloudlets/images/survey"
	"cloudlets/provision/netconfig"
)

// tellNetwork says why the usual templates have none for the network.
func tellNetwork(tree images.Tree, found *survey.Findings) error {
	facts, err := netconfig.Look(tree)
	if err != nil {
		return err
	}
	why := `left out: none of systemd-networkd (enabled), NetworkManager and ifupdown (with udev) is in the image, so its network is as the image has it; for another program, make its file a template with env.network`
	if len(facts.Programs) > 0 {
		var programs []string
		for _, p := range facts.Programs {
			programs = append(programs, string(p))
		}
		why = `not needed: installs write the "network" of a machine's file for ` + strings.Join(programs, " or ")
	}
	found.Reasons = append(found.Reasons, survey.Reason{What: "templates network", Why: why})
	return nil
}

// texts are the templates that init makes, by their paths.
func (f *initFlags) texts(templates []survey.Template) map[string]string {
	if !f.usual {
		return nil
	}
	texts := map[string]string{}
	for _, t := range templates {
		texts[t.Path] = string(t.File.Content)
	}
	return texts
}

// writeTemplates puts templates in the place of files, each at once or not at all,
// with the metadata of the file that was there. If it is interrupted, the next run
// finds that some files are templates already. It never writes outside of the
// directory.
func writeTemplates(root *os.Root, dir string, templates []survey.Template) error {
	for _, t := range templates {
		made := []images.Entry{t.File.Entry}
		for _, d := range t.Dirs {
			if err := root.Mkdir(inRoot(d.Path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			made = append(made, d)
		}
		if err := atomicfile.RemoveParts(root, path.Dir(inRoot(t.File.Path))); err != nil {
			return err
		}
		if err := atomicfile.WriteIn(root, inRoot(t.File.Path), 0o600, atomicfile.Text(t.File.Content)); err != nil {
			return err
		}
		slices.Reverse(made[1:]) // a directory gets its time after what is in it
		if err := setMetadata(dir, made); err != nil {
			return err
		}
	}
	return nil
}
