package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/desk"
	"cloudlets/web/api"
)

// Power switches machines. [desk.Desk] implements it.
type Power interface {
	Order(*provision.Spec, desk.Order) (desk.Job, error)
	Wait(ctx context.Context, mac provision.MAC, id uint64) (desk.Job, bool)
	State(context.Context, *provision.Spec) (power.State, error)
	Console(ctx context.Context, spec *provision.Spec, by string, ready func() (io.Reader, io.Writer, error)) error
}

var _ Power = (*desk.Desk)(nil)

// powerPatience is how long a request waits for the end of an order. The client asks
// again then. It is less than a client waits for the beginning of an answer.
const powerPatience = 15 * time.Second

// powerState answers with a machine's power state, or with a job that the query names.
func (s *Server) powerState(r *http.Request) (any, error) {
	spec, err := s.switchable(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), powerPatience)
	defer cancel()
	if r.URL.Query().Has("job") {
		id, err := number(r, "job")
		if err != nil {
			return nil, err
		}
		job, ok := s.Power.Wait(ctx, spec.MAC, id)
		if !ok {
			return nil, refuse(http.StatusNotFound, "%s has no power order %d: the server was restarted, or it is long done; see `cloudlets trace %s`", spec.MAC, id, spec.MAC)
		}
		return job, nil
	}
	state, err := s.Power.State(ctx, spec)
	if err != nil {
		return nil, refuse(http.StatusBadGateway, "%v", err)
	}
	return api.PowerState{MAC: spec.MAC, State: state, By: spec.Power.Kind()}, nil
}

// orderPower takes an order, and answers when it is done, or with what is to be waited
// for.
func (s *Server) orderPower(r *http.Request) (any, error) {
	spec, err := s.switchable(r)
	if err != nil {
		return nil, err
	}
	order := desk.Order{By: "the API"}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxOrder)).Decode(&order); err != nil {
		return nil, refuse(http.StatusBadRequest, "read request: %v; want {\"action\": \"on\", \"by\": \"NAME\"}", err)
	}
	if order.By == "" {
		return nil, refuse(http.StatusBadRequest, "read request: \"by\" is empty; want {\"action\": \"on\", \"by\": \"NAME\"}")
	}
	if err := order.Check(); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	job, err := s.Power.Order(spec, order)
	switch {
	case errors.Is(err, desk.ErrFull), errors.Is(err, desk.ErrStopping):
		return nil, refuse(http.StatusServiceUnavailable, "%v", err)
	case err != nil:
		return nil, refuse(http.StatusConflict, "%v", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), powerPatience)
	defer cancel()
	if waited, ok := s.Power.Wait(ctx, spec.MAC, job.ID); ok {
		job = waited
	}
	return job, nil
}

// switchable returns the machine of a request, if it can be switched.
func (s *Server) switchable(r *http.Request) (*provision.Spec, error) {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return nil, err
	}
	spec := s.spec(mac)
	switch {
	case spec == nil:
		return nil, refuse(http.StatusConflict, "%s cannot be switched: no file of the site describes it", mac)
	case spec.Power.Kind() == "":
		return nil, refuse(http.StatusConflict, "%s cannot be switched: add \"power\" with \"redfish\", \"ipmi\", \"wakeOnLAN\" or \"command\" to %s", mac, spec.File())
	case s.Power == nil:
		return nil, refuse(http.StatusNotImplemented, "this server switches no machines")
	}
	return spec, nil
}
