package site

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"cloudlets/images/atomicfile"
	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// Draft is a machine's file as an approval makes it.
type Draft struct {
	MAC  provision.MAC `json:"mac"`
	File string        `json:"file"` // its path in the site
	Text string        `json:"text"`
}

// ErrApproval is the error of an approval that the site's files do not allow. The error
// that wraps it says why.
var ErrApproval = errors.New("not approved")

// Approve writes the files of machines. The whole is checked first, as if the files
// were there, and nothing is written if one of them would be a mistake. A file that is
// there keeps its comments and all that the approval does not name. With dryRun,
// Approve only returns what it would write.
//
// The server writes the files, and not the command line: it alone knows its site's
// folder, it can check a file against all others before it is there, and the verb works
// for whoever may open the socket. Files are reached by [os.Root], so that no link
// leads out of the site.
func (s *Site) Approve(all []provision.Approval, dryRun bool) ([]Draft, error) {
	s.reading.Lock()
	drafts, err := s.approve(all, dryRun)
	s.reading.Unlock()
	if err == nil && !dryRun {
		s.Reload()
	}
	return drafts, err
}

func (s *Site) approve(all []provision.Approval, dryRun bool) ([]Draft, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, fmt.Errorf("open the site: %w", err)
	}
	defer root.Close() // it is only a directory
	names, err := machineFiles(root)
	if err != nil {
		return nil, err
	}
	drafts := make([]Draft, 0, len(all))
	texts := make(map[string][]byte, len(all))
	for _, a := range all {
		d, err := newDraft(root, names, a)
		if err != nil {
			return nil, err
		}
		if _, twice := texts[d.File]; twice {
			return nil, fmt.Errorf("%w: %s comes twice", ErrApproval, a.MAC)
		}
		drafts, texts[d.File] = append(drafts, d), []byte(d.Text)
	}
	if err := s.check(drafts, texts); err != nil {
		return nil, err
	}
	if dryRun {
		return drafts, nil
	}
	return drafts, writeDrafts(root, drafts)
}

// machineFiles are the files of machines, by MAC.
func machineFiles(root *os.Root) (map[provision.MAC]string, error) {
	names := make(map[provision.MAC]string)
	entries, err := fs.ReadDir(root.FS(), provision.MachinesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the machines' files: %w", err)
	}
	for _, e := range entries {
		base, isJSON := cutEnding(e.Name())
		if mac, bad := provision.ParseMAC(base); isJSON && bad == nil {
			names[mac] = path.Join(provision.MachinesDir, e.Name())
		}
	}
	return names, nil
}

func cutEnding(name string) (base string, isJSON bool) {
	return name[:len(name)-len(path.Ext(name))], path.Ext(name) == ".json"
}

// newDraft is the file of one machine: the one that is there, changed, or a new one.
func newDraft(root *os.Root, names map[provision.MAC]string, a provision.Approval) (Draft, error) {
	d := Draft{MAC: a.MAC, File: names[a.MAC]}
	text := []byte("{}\n")
	if d.File == "" {
		d.File = a.MAC.File()
	} else {
		info, err := root.Stat(d.File)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxFileSize) {
			err = errors.New("it is not a regular file of bounded size")
		}
		if err == nil {
			text, err = root.ReadFile(d.File)
		}
		if err != nil {
			return d, fmt.Errorf("%w: read %s: %w", ErrApproval, d.File, err)
		}
	}
	var members []jsontext.Setting
	for _, m := range []struct{ name, value string }{
		{"extends", a.Profile}, {"hostname", a.Hostname}, {"image", a.Image}, {"address", a.Address},
	} {
		if m.value != "" {
			members = append(members, jsontext.Setting{Name: m.name, Value: m.value})
		}
	}
	text, err := jsontext.SetMembers(d.File, text, members...)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	d.Text = string(text)
	return d, nil
}

// check reads the site as it would be with the drafts. The caller holds reading.
func (s *Site) check(drafts []Draft, texts map[string][]byte) error {
	files := s.files // what is made of drafts is not kept
	r := &siteReader{dir: s.dir, last: s.current(), files: &files, began: s.clock(), drafts: texts, facts: s.facts}
	next := r.read()
	var mistakes jsontext.Problems
	for _, p := range next.problems {
		if _, ours := texts[p.File]; ours {
			mistakes = append(mistakes, p)
		}
	}
	if len(mistakes) > 0 {
		return fmt.Errorf("%w: %w", ErrApproval, mistakes.Err())
	}
	for _, d := range drafts {
		if _, there := next.machines.spec(d.MAC); !there {
			return fmt.Errorf("%w: the site has a mistake that keeps %s from being read; `cloudlets doctor` shows it", ErrApproval, d.File)
		}
	}
	return nil
}

// writeDrafts writes the files, each at once. If one cannot be written, those before it
// are there, and the error says so.
func writeDrafts(root *os.Root, drafts []Draft) error {
	if err := root.MkdirAll(provision.MachinesDir, 0o755); err != nil {
		return fmt.Errorf("make the folder of machines' files: %w", err)
	}
	for i, d := range drafts {
		perm := fs.FileMode(0o644)
		if info, err := root.Lstat(d.File); err == nil && info.Mode().IsRegular() {
			perm = info.Mode().Perm() // it may have passwords
		}
		err := atomicfile.WriteIn(root, d.File, perm, func(f *os.File) error {
			_, err := f.WriteString(d.Text)
			return err
		})
		if err != nil {
			return fmt.Errorf("write %s, after %d of %d files: %w (the user that runs the server must be able to write there)", d.File, i, len(drafts), err)
		}
	}
	return nil
}
