//go:build linux

package drivers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"cloudlets/provision"
	"cloudlets/provision/power"
)

const (
	// maxPassword bounds the file with a password, in bytes.
	maxPassword = 4096
	// tooOpen are the rights of others to a file, none of which a secret may have.
	tooOpen = 0o007
)

// password reads a machine's password anew each time, so that it may be changed while
// the server runs.
func (d Drivers) password(p *provision.Power) (power.Secret, error) {
	if p.PasswordEnv != "" {
		text := d.Getenv(p.PasswordEnv)
		if text == "" {
			return power.Secret{}, fmt.Errorf("read the password of a management controller: the server has no variable %s in its environment; set it where the server is started, such as in its systemd unit", p.PasswordEnv)
		}
		return power.NewSecret(text), nil
	}
	text, err := d.read(p.PasswordFile, maxPassword, true)
	if err != nil {
		return power.Secret{}, fmt.Errorf("read the password of a management controller: %w", err)
	}
	line := strings.TrimRight(string(text), "\r\n")
	switch {
	case line == "":
		return power.Secret{}, fmt.Errorf("read the password of a management controller: %s is empty", p.PasswordFile)
	case strings.ContainsAny(line, "\r\n\x00"):
		return power.Secret{}, fmt.Errorf("read the password of a management controller: %s has more than one line", p.PasswordFile)
	}
	return power.NewSecret(line), nil
}

// read reads a file. A relative path is one in the site, and no link leads out of
// it.
func (d Drivers) read(name string, most int64, secret bool) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not an ordinary file", name)
	case secret && info.Mode().Perm()&tooOpen != 0:
		return nil, fmt.Errorf("others can read or change %s, whose mode is %v: run `chmod 600 %s`", name, info.Mode().Perm(), f.Name())
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return text, nil
}

func (d Drivers) open(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK // a pipe must not be waited for
	if filepath.IsAbs(name) {
		return os.OpenFile(name, flags, 0)
	}
	root, err := os.OpenRoot(d.Site)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, flags, 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w: a relative path is one in the site, and its links stay in there", err)
	}
	return f, err
}
