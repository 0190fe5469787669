package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/track"
	"cloudlets/web/api"
)

// Bounds of a request of many machines.
const (
	maxApprovals     = 20_000
	maxApprovalsSize = 8 << 20 // bytes
)

// approve writes the files of machines into the site. All are checked before the first
// is written.
func (s *Server) approve(r *http.Request) (any, error) {
	var request api.Approvals
	body, err := io.ReadAll(io.LimitReader(r.Body, maxApprovalsSize+1))
	if err == nil && len(body) > maxApprovalsSize {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the request has more than %d bytes; approve fewer machines at once", maxApprovalsSize)
	}
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "read request: %v", err)
	}
	if request.By == "" || len(request.Machines) == 0 || len(request.Machines) > maxApprovals {
		return nil, refuse(http.StatusBadRequest, `want {"by": "NAME", "machines": [{"mac": "MAC", …}]} with 1 to %d machines`, maxApprovals)
	}
	files, err := s.Site.Approve(request.Machines, request.DryRun)
	if errors.Is(err, site.ErrApproval) {
		return nil, refuse(http.StatusConflict, "%v", err)
	}
	if err != nil || request.DryRun {
		return api.Approved{Files: files}, err
	}
	for i, a := range request.Machines {
		e := provision.Event{MAC: a.MAC, Kind: provision.KindLog, By: request.By, Text: "approved: " + files[i].File + " was written"}
		if err := s.Tracker.Record(r.Context(), e); err != nil {
			return nil, err
		}
		if !request.Install {
			continue
		}
		spec := s.spec(a.MAC)
		if err := s.Tracker.Arm(r.Context(), a.MAC, spec, track.Order{By: request.By, Pack: s.packOf(spec)}); err != nil {
			return nil, fmt.Errorf("the files are written; %w", err)
		}
	}
	return api.Approved{Files: files}, nil
}

func (s *Server) packOf(spec *provision.Spec) string {
	if spec == nil {
		return ""
	}
	return s.Roster.Pack(spec)
}

// forget removes what is known of a machine that no file describes.
func (s *Server) forget(r *http.Request) (any, error) {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return nil, err
	}
	if err := s.known(mac); err != nil {
		return nil, err
	}
	if s.spec(mac) != nil {
		return nil, refuse(http.StatusConflict, "%s is not forgotten: a file of the site describes it; remove that file first", mac)
	}
	return struct{}{}, s.Tracker.Forget(r.Context(), mac)
}
