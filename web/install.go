package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/track"
	"cloudlets/web/api"
)

// maxOrder bounds the body of a request, in bytes.
const maxOrder = 4096

// lookTime bounds how long an order waits for a look at the machine's image.
const lookTime = 2 * time.Second

// install arms an install at the machine's next boot. It reads the site first, so that
// a person who has just changed a file arms what it says now, or is told of the mistake
// in it.
func (s *Server) install(r *http.Request) (any, error) {
	s.Site.Refresh()
	mac, order, err := s.order(r)
	if err != nil {
		return nil, err
	}
	if err := s.refuseBroken(mac); err != nil {
		return nil, err
	}
	spec := s.spec(mac)
	if err := s.Tracker.Arm(r.Context(), mac, spec, track.Order{By: order.By, Wipe: order.Wipe, Rollback: order.Rollback, Confirm: order.Confirm, Pack: PackNow(r.Context(), s.Images, spec)}); err != nil {
		return nil, err
	}
	return s.detail(mac), nil
}

// PackNow is the digest of the pack of a machine's image as the image is now, or "" if
// that is not known within a moment.
func PackNow(ctx context.Context, images Images, spec *provision.Spec) string {
	if spec == nil || spec.Image == "" {
		return ""
	}
	ctx, stop := context.WithTimeout(ctx, lookTime)
	defer stop()
	kit, err := images.Kit(ctx, depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint})
	if err != nil {
		return ""
	}
	return kit.Pack.Digest
}

// cancel cancels an install, even if it is running.
func (s *Server) cancel(r *http.Request) (any, error) {
	mac, order, err := s.order(r)
	if err != nil {
		return nil, err
	}
	before, _ := s.Tracker.State(mac)
	spec := s.spec(mac)
	without := before
	without.Once = nil // an order for the next boot only puts off an install
	if decision := provision.Decide(spec, without); decision.Action != provision.ActionInstall && !before.Installing() {
		return nil, refuse(http.StatusConflict, "there is no install of %s to cancel: %s", mac, decision.Reason)
	}
	err = s.Tracker.Cancel(r.Context(), mac, order.By, "the install was cancelled by "+order.By, s.Tickets)
	if err != nil && !errors.Is(err, track.ErrNotDurable) {
		return nil, err
	}
	detail := s.detail(mac)
	if err != nil {
		detail.Warning = err.Error()
	}
	return detail, nil
}

func (s *Server) order(r *http.Request) (provision.MAC, api.Order, error) {
	order := api.Order{By: "the API"}
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return "", order, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxOrder+1))
	if err != nil {
		return "", order, refuse(http.StatusBadRequest, "read request: %v", err)
	}
	if len(body) > maxOrder {
		return "", order, refuse(http.StatusRequestEntityTooLarge, "the request's body has more than %d bytes; want {\"by\": \"NAME\"}", maxOrder)
	}
	if err := parseOrder(body, &order); err != nil {
		return "", order, refuse(http.StatusBadRequest, "read request: %v; want {\"by\": \"NAME\"} or no body", err)
	}
	return mac, order, nil
}

func parseOrder(body []byte, order *api.Order) error {
	if len(body) == 0 {
		return nil
	}
	named := api.Order{}
	if err := json.Unmarshal(body, &named); err != nil {
		return err
	}
	if named.By == "" {
		return errors.New(`"by" is absent or empty`)
	}
	*order = named
	return nil
}

// confirm lets a machine's agent write what it has proposed.
func (s *Server) confirm(r *http.Request) (any, error) {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return nil, err
	}
	var said api.Confirmation
	err = json.NewDecoder(io.LimitReader(r.Body, maxOrder)).Decode(&said)
	if err != nil || said.By == "" || said.Digest == "" {
		return nil, refuse(http.StatusBadRequest, `want {"by": "NAME", "digest": "sha256:…"} with the "digest" of the machine's "plan"`)
	}
	if err := s.Tracker.Confirm(r.Context(), mac, said.By, said.Digest); errors.Is(err, provision.ErrNotWaiting) {
		return nil, refuse(http.StatusConflict, "%v", err)
	} else if err != nil {
		return nil, err
	}
	return s.detail(mac), nil
}
