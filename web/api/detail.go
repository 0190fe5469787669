package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"cloudlets/provision"
)

// Machine returns one machine in detail.
func (c *Client) Machine(ctx context.Context, machine string) (d Detail, err error) {
	return d, c.do(ctx, http.MethodGet, machinePath(machine, ""), nil, &d)
}

// Events returns the latest events of a machine with IDs above after, in order.
// It returns at most limit of them, or all that are kept if limit is 0.
func (c *Client) Events(ctx context.Context, machine string, after uint64, limit int) (events []provision.Event, err error) {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)}}
	return events, c.do(ctx, http.MethodGet, machinePath(machine, "events")+"?"+query.Encode(), nil, &events)
}

// Detail is all that is known about one machine, except its events.
type Detail struct {
	Machine
	// Spec is what the machine's file says, or nil if it has no file.
	Spec *Spec `json:"spec,omitempty"`
	// Stages are the stages of its latest boot, in order.
	Stages []StageSpan `json:"stages"`
	// Report is what its agent said of the last install that ended well.
	Report *provision.Report `json:"report,omitempty"`
	// NeedsWipe says why an install is refused that may not wipe the disk.
	NeedsWipe string `json:"needsWipe,omitempty"`
	// Inspection is what was found in it while it was a stranger, and Outcome what the
	// site's rules said of that.
	Inspection *provision.Inspection `json:"inspection,omitempty"`
	Outcome    string                `json:"outcome,omitempty"`
	// Warning is what a person has to know about what was just done.
	Warning string `json:"warning,omitempty"`
}

// Spec is what a machine's file and the profiles that it extends say. The values
// of the image's arguments are left out, since they may be passwords.
type Spec struct {
	// Group is the file that describes the machine together with others.
	Group string `json:"group,omitempty"`
	// MACs are those of the machine's further network cards.
	MACs       []provision.MAC `json:"macs,omitempty"`
	UUID       provision.UUID  `json:"uuid,omitempty"`
	Image      string          `json:"image,omitempty"`
	EntryPoint string          `json:"entrypoint,omitempty"`
	Hostname   string          `json:"hostname,omitempty"`
	Address    string          `json:"address,omitempty"`
	// MoreAddresses are those that DHCP reserves for it on other networks.
	MoreAddresses []netip.Addr         `json:"moreAddresses,omitempty"`
	Install       string               `json:"install,omitempty"` // "once"
	Disk          *provision.DiskHints `json:"disk,omitempty"`
	Filesystem    string               `json:"filesystem"`
	Slots         int                  `json:"slots,omitempty"`
	Mirror        bool                 `json:"mirror,omitempty"`
	Persistent    int64                `json:"persistent,omitempty"` // bytes
	Handover      provision.Handover   `json:"handover"`
	Cmdline       string               `json:"cmdline,omitempty"`
	SecureBoot    provision.SecureBoot `json:"secureBoot,omitempty"`
	HTTPS         *bool                `json:"https,omitempty"`
	Network       *provision.Network   `json:"network,omitempty"`
	BootEntry     bool                 `json:"bootEntry,omitempty"`
	Retry         int                  `json:"retry"`
	// Confirm says that each install waits for a person before it writes.
	Confirm bool `json:"confirm,omitempty"`
	// Silent says that the installed system is not to say that it runs.
	Silent bool              `json:"silent,omitempty"`
	Quirks *provision.Quirks `json:"quirks,omitempty"`
	Power  *provision.Power  `json:"power,omitempty"`
	// CloudInit has "…" for the texts that are given.
	CloudInit *provision.CloudInit `json:"cloudInit,omitempty"`
	Rescue    *provision.Rescue    `json:"rescue,omitempty"`
	// Boot is what the machine boots while no install is to be done.
	Boot *provision.Boot `json:"boot,omitempty"`
	// Vars are the names of the variables that are given, sorted. Their values may be
	// passwords.
	Vars []string `json:"vars,omitempty"`
	Tags []string `json:"tags,omitempty"`
	// Rules says which rules of its profiles match it, and why the others do not.
	Rules []provision.RuleVerdict `json:"rules,omitempty"`
	// Args are the names of the arguments that are given, sorted.
	Args []string `json:"args,omitempty"`
}

// StageSpan is one stage of a boot.
type StageSpan struct {
	Stage provision.Stage `json:"stage"`
	Start time.Time       `json:"start"`
	// Seconds is how long the stage took, or has taken until now. It is 0 for
	// a stage in which a machine stays ("installed", "local", "failed").
	Seconds float64 `json:"seconds"`
	// Running says that the stage has not ended.
	Running bool `json:"running,omitempty"`
}
