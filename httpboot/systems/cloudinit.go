package systems

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"cloudlets/httpboot/requests"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/cloudinit"
	"cloudlets/provision/netconfig"
	"cloudlets/provision/rendering"
)

// instance is what the cloud-init of a machine is told. system is the one that it has, or
// that an install writes; nil if it is not known.
func (s *Systems) instance(spec *provision.Spec, system *provision.System, at netip.Addr) (cloudinit.Instance, error) {
	told := spec.CloudInit
	i := cloudinit.Instance{
		ID: system.InstanceID(spec.MAC), Hostname: rendering.Hostname(spec), MAC: spec.MAC, Address: at,
		SSHKeys: told.SSHKeys, UserData: []byte(told.UserData), VendorData: []byte(told.VendorData), HasNetwork: spec.Network != nil,
	}
	for file, to := range map[string]*[]byte{told.UserDataFile: &i.UserData, told.VendorDataFile: &i.VendorData} {
		if file == "" {
			continue
		}
		if s.SiteFile == nil {
			return i, fmt.Errorf("read %s for the cloud-init of %s: this server reads no files of the site", file, spec.MAC)
		}
		text, err := s.SiteFile(file)
		if err != nil {
			return i, fmt.Errorf("make what the cloud-init of %s is told: %w", spec.MAC, err)
		}
		*to = text
	}
	return i, nil
}

// cloudInitRecipe is what a machine's files for cloud-init were made of, besides its
// file.
type cloudInitRecipe struct {
	ID string `json:"id"` // of the install
	cloudinit.Source
}

// cloudInitSource says where the system that an install writes finds what its cloud-init
// is told; nil if that is not said here.
func (s *Systems) cloudInitSource(spec *provision.Spec, system *provision.System, servers []string) *cloudInitRecipe {
	if spec.CloudInit == nil || spec.CloudInit.From() == provision.DatasourceImage {
		return nil
	}
	from := cloudinit.Source{Datasource: spec.CloudInit.From()}
	switch from.Datasource {
	case provision.DatasourceEC2:
		from.URLs = servers
	case provision.DatasourceHTTP:
		from.URL = servers[0] + cloudInitPath(string(spec.MAC), system.CloudInitToken(spec.MAC, s.Machines.Tracker.Key()), "")
	}
	return &cloudInitRecipe{system.ID, from}
}

// cloudInitPath is where the system on a machine's disk gets a document of NoCloud.
func cloudInitPath(mac, token, document string) string {
	return "/cloud-init/" + mac + "/" + token + "/" + document
}

// noCloud serves a document of NoCloud to the system that has its machine's token. The
// token is the system's own, so documents are never another machine's, whatever address
// a request comes from.
func (s *Systems) noCloud(w http.ResponseWriter, r *http.Request) {
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, requests.Printable(err.Error()), http.StatusNotFound)
		return
	}
	state, system, err := s.systemOf(r, mac, (*provision.System).CloudInitToken, provision.State.Told, keptSystem, liveSystem)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	spec := s.Machines.Spec(mac)
	switch {
	case state == nil:
		http.Error(w, "this is not the URL of the system that was installed last on "+string(mac), http.StatusGone)
		return
	case spec == nil || spec.CloudInit == nil:
		http.Error(w, `the file of the machine `+string(mac)+` has no "cloudInit" any more`, http.StatusNotFound)
		return
	}
	i, err := s.instance(spec, system, netip.Addr{})
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	name := r.PathValue("document")
	text, is := i.NoCloud()[name]
	if !is {
		http.Error(w, "there is no such document", http.StatusNotFound)
		return
	}
	requests.ServeSecret(w, text)
	if name == cloudinit.MetaData && r.Method == http.MethodGet {
		s.Machines.Record(r.Context(), provision.Event{MAC: spec.MAC, Kind: provision.KindHTTP, Text: "cloud-init asked what it is told, by " + requests.Protocol(r)})
	}
}

// WithCloudInit adds the files that give the installed system's cloud-init its datasource,
// except those that the image's own templates write. network says that the overlay
// configures the network. An image without cloud-init gets none: warnOfCloudInit tells.
func (s *Systems) WithCloudInit(overlay images.Overlay, spec *provision.Spec, r Recipe, network bool, tree images.Tree) (images.Overlay, error) {
	from := r.CloudInit
	if from == nil || spec.CloudInit == nil {
		return overlay, nil
	}
	i, err := s.instance(spec, &provision.System{ID: from.ID}, netip.Addr{})
	if err != nil {
		return nil, err
	}
	i.HasNetwork = network
	files, err := cloudinit.Files(tree, i, from.Source)
	if errors.Is(err, cloudinit.ErrMissing) {
		return overlay, nil
	}
	if err != nil {
		return nil, err
	}
	taken := func(path string) bool {
		return slices.ContainsFunc(overlay, func(f images.File) bool { return f.Path == path })
	}
	files, err = netconfig.Place(tree, files, taken)
	return append(overlay, files...), err
}

// warnOfCloudInit tells in the machine's trace why nobody will read what its file says.
func (s *Systems) warnOfCloudInit(ctx context.Context, spec *provision.Spec, tree images.Tree) {
	if spec.CloudInit == nil {
		return
	}
	if _, err := cloudinit.Files(tree, cloudinit.Instance{}, cloudinit.Source{}); err != nil {
		s.Machines.Record(ctx, provision.Event{
			MAC: spec.MAC, Kind: provision.KindLog,
			Text: `warning: the installed system does not read the "cloudInit" of its file`, Reason: err.Error(),
		})
	}
}
