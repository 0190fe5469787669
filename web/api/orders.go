package api

import (
	"context"
	"net/http"

	"cloudlets/provision"
)

// BootOrder is the body of a request to order what a machine boots next, once, or to
// take that back.
type BootOrder struct {
	By string `json:"by"`
	provision.Boot
}

// Install arms an install at the machine's next boot.
func (c *Client) Install(ctx context.Context, machine string, o Order) (d Detail, err error) {
	return d, c.do(ctx, http.MethodPost, machinePath(machine, "install"), o, &d)
}

// Boot orders what a machine boots next, and only then.
func (c *Client) Boot(ctx context.Context, machine string, o BootOrder) (d Detail, err error) {
	return d, c.do(ctx, http.MethodPost, machinePath(machine, "boot"), o, &d)
}

// CancelBoot takes back such an order. By is the person or program that asks.
func (c *Client) CancelBoot(ctx context.Context, machine, by string) (d Detail, err error) {
	return d, c.do(ctx, http.MethodDelete, machinePath(machine, "boot"), BootOrder{By: by}, &d)
}

// Cancel cancels an install, even if it is running. By is the person or program
// that asks for it.
func (c *Client) Cancel(ctx context.Context, machine, by string) (d Detail, err error) {
	return d, c.do(ctx, http.MethodDelete, machinePath(machine, "install"), Order{By: by}, &d)
}

// Order is the body of a request to arm or to cancel an install. It may be
// absent.
type Order struct {
	// By is the person or program that asks. If there is no body, it is "the
	// API".
	By string `json:"by"`
	// Wipe allows the install that is armed to overwrite a disk that is not empty.
	Wipe bool `json:"wipe,omitempty"`
	// Rollback arms no install: the system in the machine's other slot is put on trial.
	Rollback bool `json:"rollback,omitempty"`
	// Confirm makes the install that is armed wait before it writes, until a person has
	// confirmed what it will do.
	Confirm bool `json:"confirm,omitempty"`
}
