package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"cloudlets/provision"
)

// Order is the body of a request to arm or to cancel an install. It may be
// absent.
type Order struct {
	// By is the person or program that asks. If there is no body, it is "the
	// API".
	By string `json:"by"`
}

// maxOrder bounds the body of a request, in bytes.
const maxOrder = 4096

// install arms an install at the machine's next boot.
func (s *Server) install(r *http.Request) (any, error) {
	mac, order, err := s.order(r)
	if err != nil {
		return nil, err
	}
	if err := s.Tracker.Arm(r.Context(), mac, s.spec(mac), order.By); err != nil {
		return nil, err
	}
	return s.detail(mac), nil
}

// cancel cancels an install, even if it is running. It disarms the machine
// first: once that is stored, the machine cannot start another install.
func (s *Server) cancel(r *http.Request) (any, error) {
	mac, order, err := s.order(r)
	if err != nil {
		return nil, err
	}
	before, _ := s.Tracker.State(mac)
	spec := s.spec(mac)
	if decision := provision.Decide(spec, before); decision.Action != provision.ActionInstall && !before.Installing() {
		return nil, refuse(http.StatusConflict, "there is no install of %s to cancel: %s", mac, decision.Reason)
	}
	reason := "the install was cancelled by " + order.By
	if err := s.Tracker.Disarm(r.Context(), mac, order.By, reason); err != nil {
		return nil, err
	}
	if err := s.Tickets.End(r.Context(), mac, reason); err != nil {
		return nil, fmt.Errorf("the machine is disarmed, but its agent may go on with the install until you switch the machine off: %w", err)
	}
	if state, _ := s.Tracker.State(mac); state.Installing() {
		if err := s.Tracker.Record(r.Context(), calledOff(mac, reason)); err != nil {
			return nil, err
		}
	}
	return s.detail(mac), nil
}

// calledOff is the last event of an install whose agent may no longer report.
func calledOff(mac provision.MAC, reason string) provision.Event {
	return provision.Event{
		MAC: mac, Kind: provision.KindFailed, Text: reason,
		Reason: fmt.Sprintf("the agent was at work, so the disk may be half written; `cloudlets install %s` arms a new install", mac),
	}
}

func (s *Server) order(r *http.Request) (provision.MAC, Order, error) {
	order := Order{By: "the API"}
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

func parseOrder(body []byte, order *Order) error {
	if len(body) == 0 {
		return nil
	}
	named := Order{}
	if err := json.Unmarshal(body, &named); err != nil {
		return err
	}
	if named.By == "" {
		return errors.New(`"by" is absent or empty`)
	}
	*order = named
	return nil
}
