package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/web/api"
)

// orderBoot orders what a machine boots next. Like install, it reads the site first.
func (s *Server) orderBoot(r *http.Request) (any, error) {
	s.Site.Refresh()
	mac, order, err := s.bootOrder(r)
	if err != nil {
		return nil, err
	}
	if err := s.checkImage(r.Context(), s.spec(mac), order.Boot); err != nil {
		return nil, err
	}
	if err := s.Tracker.OrderBoot(r.Context(), mac, s.spec(mac), order.Boot, order.By); err != nil {
		return nil, err
	}
	return s.detail(mac), nil
}

// checkImage refuses an image that the site does not have, or whose kernel cannot be
// booted. It begins to make what the machine fetches, and does not wait for it long.
func (s *Server) checkImage(ctx context.Context, spec *provision.Spec, b provision.Boot) error {
	if spec == nil || b.Kind == provision.BootLocal || b.Kind == provision.BootKernel && b.Image == "" {
		return nil
	}
	booting := spec.Booting(b)
	if booting.Image == "" {
		return nil
	}
	if _, there := s.Site.ImagePath(booting.Image); !there {
		return refuse(http.StatusConflict, "order %s: the site has no image %s: put a folder, a repository or a tarball of that name into images/", b, booting.Image)
	}
	ctx, stop := context.WithTimeout(ctx, lookTime)
	defer stop()
	if _, err := s.Images.Kit(ctx, depot.Key{Image: booting.Image, EntryPoint: booting.EntryPoint, AsIs: b.Kind == provision.BootKernel}); err != nil && ctx.Err() == nil {
		return refuse(http.StatusConflict, "order %s: %v", b, err)
	}
	return nil
}

// cancelBoot takes back what a machine was ordered to boot.
func (s *Server) cancelBoot(r *http.Request) (any, error) {
	mac, order, err := s.bootOrder(r)
	if err != nil {
		return nil, err
	}
	if err := s.Tracker.CancelBoot(r.Context(), mac, order.By); err != nil {
		if errors.Is(err, provision.ErrBootTaken) {
			return nil, refuse(http.StatusConflict, "no boot of %s is ordered: it was carried out or taken back already", mac)
		}
		return nil, err
	}
	return s.detail(mac), nil
}

func (s *Server) bootOrder(r *http.Request) (provision.MAC, api.BootOrder, error) {
	order := api.BootOrder{By: "the API"}
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return "", order, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxOrder+1))
	switch {
	case err != nil:
		return "", order, refuse(http.StatusBadRequest, "read request: %v", err)
	case len(body) > maxOrder:
		return "", order, refuse(http.StatusRequestEntityTooLarge, "the request's body has more than %d bytes", maxOrder)
	case len(body) == 0:
		return mac, order, nil
	}
	if err = json.Unmarshal(body, &order); err == nil && order.By == "" {
		err = errors.New(`"by" is empty`)
	}
	if err != nil {
		return "", order, refuse(http.StatusBadRequest, "read request: %v; want {\"kind\": \"kernel\", \"image\": \"NAME\"}, {\"kind\": \"live\"}, {\"kind\": \"rescue\"} or {\"kind\": \"local\"}", err)
	}
	return mac, order, nil
}
