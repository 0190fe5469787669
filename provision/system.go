package provision

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cloudlets/images/manifest"
)

// System is a system on a machine's disk: what an install writes, and what the
// machine has once that succeeded.
type System struct {
	// ID tells this install from all others of the machine.
	ID string `json:"id,omitempty"`
	// Image and EntryPoint are as the machine's file named them then.
	Image      string `json:"image"`
	EntryPoint string `json:"entrypoint,omitempty"`
	// Pack is the digest of the image's pack, "sha256:…". It is "" if it is not known.
	Pack string `json:"pack,omitempty"`
	// Config is the [Spec.ConfigMark] of the machine's file.
	Config string `json:"config,omitempty"`
	// Disk is the disk that has the system, in words.
	Disk string `json:"disk,omitempty"`
	// Slot is the slot of the disk that has it, "a" or "b", or "" on a disk without slots.
	Slot string `json:"slot,omitempty"`
	// BootPartitions are those of the [Report] of its install.
	BootPartitions []string `json:"bootPartitions,omitempty"`
	// Keeps says that the disk was made so that installs keep something of it.
	Keeps bool `json:"keeps,omitempty"`
	// Ran is when it last said that it runs.
	Ran time.Time `json:"ran,omitzero"`
	// Time is when the disk was complete.
	Time time.Time `json:"time,omitzero"`
	// Hints are those of the machine's file by which the disk was chosen.
	Hints DiskHints `json:"hints,omitzero"`
	// Tells says that the system tells the server when it runs, and that somebody is to
	// wait for that.
	Tells bool `json:"tells,omitempty"`
}

// SystemID names the install of one session, so that all plans of the session are the
// same. The secret of a session cannot be told from it.
func SystemID(session string, key []byte) string {
	mark := hmac.New(sha256.New, key)
	fmt.Fprintf(mark, "system %s", session)
	return hex.EncodeToString(mark.Sum(nil)[:16])
}

// RunningToken is the secret by which the system on a machine's disk says that it runs.
// It is good for nothing else, and only as long as the machine has that system.
func (s *System) RunningToken(mac MAC, key []byte) string { return s.token("running", mac, key) }

// CloudInitToken is the secret by which cloud-init on a machine's disk asks for what it is
// told. It is good as long as RunningToken.
func (s *System) CloudInitToken(mac MAC, key []byte) string { return s.token("cloud-init", mac, key) }

// token is a secret for one purpose.
func (s *System) token(purpose string, mac MAC, key []byte) string {
	mark := hmac.New(sha256.New, key)
	fmt.Fprintf(mark, "%s %s %s", purpose, mac, s.ID)
	return hex.EncodeToString(mark.Sum(nil)[:16])
}

// Told returns the system on a machine's disk as far as it is told by its install's ID
// alone. After a restore from a backup it is not known what else it is. It is nil while
// nothing was installed, or another system is being written.
func (s State) Told() *System {
	switch {
	case s.Has != nil:
		return s.Has
	case s.InstallID == "" || s.Writing != nil:
		return nil
	}
	return &System{ID: s.InstallID}
}

// InstanceID names a machine's system to cloud-init, which does its work once for each
// name: "i-" and 17 digits, as Amazon's. Without a known install the name comes from the
// machine's address.
func (s *System) InstanceID(mac MAC) string {
	if s == nil || len(s.ID) < instanceDigits {
		return "i-" + strings.ReplaceAll(string(mac), ":", "")
	}
	return "i-" + s.ID[:instanceDigits]
}

const instanceDigits = 17

// System is what an install of the machine would write now. pack is the digest of
// the image's pack, or "" if that is not known yet. See [Spec.ConfigMark] for the key.
func (s *Spec) System(pack string, key []byte) System {
	return System{Image: s.Image, EntryPoint: s.EntryPoint, Pack: pack, Config: s.ConfigMark(key), Hints: s.Disk, Keeps: s.Keeps()}
}

// Keeps says whether installs of the machine keep something of what earlier ones left on
// its disk.
func (s *Spec) Keeps() bool { return s.Slots == 2 || s.Persistent > 0 }

// ConfigMark tells whether two files say the same of a machine's copy of the image:
// of what templates, command lines and network files are made of, and of the
// filesystem. It is an HMAC (RFC 2104) and not a digest, since anyone who has a digest
// can try which password was in the configuration. The key is the site's own secret.
func (s *Spec) ConfigMark(key []byte) string {
	told := s.CloudInit
	if told != nil {
		marked := *told
		if marked.Datasource = told.From(); marked.Datasource != DatasourceSeed {
			marked = CloudInit{Datasource: marked.Datasource} // the rest is not on the disk
		}
		told = &marked
	}
	text, err := json.Marshal(struct {
		Config     manifest.Config
		Hostname   string
		Address    netip.Addr
		Network    *Network
		Cmdline    string
		Filesystem string
		SecureBoot SecureBoot
		// The marks of machines without these stay as they were before there were these.
		CloudInit *CloudInit     `json:",omitempty"`
		Vars      map[string]any `json:",omitempty"`
		Tags      []string       `json:",omitempty"`
	}{s.Config, s.Hostname, s.Address, s.Network, s.Cmdline, s.Filesystem, s.SecureBoot, told, s.Vars, s.Tags})
	if err != nil {
		panic(err) // these types can be marshalled
	}
	mark := hmac.New(sha256.New, key)
	mark.Write(text)
	return markVersion + hex.EncodeToString(mark.Sum(nil))
}

// markVersion begins each mark. Count it up when a field is added to what is marked, or
// to a type in it: marks of two versions say nothing about each other.
const markVersion = "1:"

// Outdated says in which ways the system that a machine has is not the one that it
// shall have, each in a few words. It is nil if there is no difference, or if the
// machine has no system or shall have none.
func Outdated(has *System, shall System) []string {
	if has == nil || shall.Image == "" {
		return nil
	}
	var why []string
	switch {
	case has.Image != shall.Image:
		why = append(why, fmt.Sprintf("it has %s, and its file names %s", has.Image, shall.Image))
	case has.EntryPoint != shall.EntryPoint:
		why = append(why, "its file names another entry point")
	case has.Pack != "" && shall.Pack != "" && has.Pack != shall.Pack:
		why = append(why, fmt.Sprintf("the image %s has changed", shall.Image))
	}
	if strings.HasPrefix(has.Config, markVersion) && has.Config != shall.Config {
		why = append(why, "its configuration has changed")
	}
	return why
}
