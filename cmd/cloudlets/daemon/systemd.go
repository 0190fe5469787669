//go:build linux

package daemon

import (
	"fmt"
	"net"
)

// Messages to systemd, by sd_notify(3).
const (
	systemdReady    = "READY=1"
	systemdStopping = "STOPPING=1"
)

// notifySystemd sends a message to the service manager. socket is what the
// manager put into NOTIFY_SOCKET: a path, or a name in the abstract namespace
// with an "@" before it. If it is empty, no manager waits for messages.
func notifySystemd(socket, message string) error {
	if socket == "" {
		return nil
	}
	// Package net reads the "@" in the same way.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("send %s to systemd: %w", message, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(message)); err != nil {
		return fmt.Errorf("send %s to systemd: %w", message, err)
	}
	return nil
}
