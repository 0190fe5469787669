package rescue

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"cloudlets/images/pause"
)

// sshDir has what the SSH server is given. It is in memory, as all of /run.
const sshDir = "/run/cloudlets/rescue"

// sshConfig lets root in by a key, and nobody in by a password. Without PAM no service of
// the image is asked, none of which runs.
const sshConfig = `HostKey ` + sshDir + `/host_key
AuthorizedKeysFile ` + sshDir + `/authorized_keys
AllowUsers root
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
`

// startSSH starts the image's SSH server, if there are keys for it. It returns what a
// person wants to know of that.
func (s *System) startSSH(ctx context.Context) string {
	if len(s.SSHKeys) == 0 {
		return "no SSH server, since no keys are given: \"rescue\": {\"sshKeys\": […]} in cloudlets.json or the machine's file"
	}
	server := firstProgram("/usr/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd")
	if server == "" {
		return "no SSH server, since " + s.Image + " has no sshd"
	}
	fingerprint, err := s.prepareSSH()
	if err != nil {
		s.Log.Warn("the SSH server cannot be started", "error", err)
		return "no SSH server: " + err.Error()
	}
	go s.keepSSH(ctx, server)
	return "root may log in by SSH; the host's key, made for this boot, is " + fingerprint
}

// prepareSSH makes the server's files, and returns the fingerprint of its new key.
func (s *System) prepareSSH() (fingerprint string, err error) {
	if err := errors.Join(os.MkdirAll(sshDir, 0o700), os.MkdirAll("/run/sshd", 0o755)); err != nil {
		return "", err
	}
	keys := strings.Join(s.SSHKeys, "\n") + "\n"
	err = errors.Join(
		os.WriteFile(filepath.Join(sshDir, "authorized_keys"), []byte(keys), 0o600),
		os.WriteFile(filepath.Join(sshDir, "sshd_config"), []byte(sshConfig), 0o600),
		unlockFile("/etc/shadow"),
	)
	if err != nil {
		return "", err
	}
	maker := firstProgram("/usr/bin/ssh-keygen", "/bin/ssh-keygen")
	if maker == "" {
		return "", fmt.Errorf("%s has no ssh-keygen, which makes the host's key", s.Image)
	}
	key := filepath.Join(sshDir, "host_key")
	status, err := s.children.Run(&exec.Cmd{Path: maker, Args: []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", s.Name, "-f", key}, Env: environment("")})
	if err != nil || status.ExitStatus() != 0 {
		return "", errors.Join(fmt.Errorf("make the host's key: ssh-keygen ended with %d", status.ExitStatus()), err)
	}
	text, err := os.ReadFile(key + ".pub")
	if err != nil {
		return "", err
	}
	return fingerprintOf(string(text))
}

// keepSSH keeps the server running until ctx ends.
func (s *System) keepSSH(ctx context.Context, server string) {
	for {
		// It starts itself again for each connection, by its whole path.
		cmd := &exec.Cmd{Path: server, Args: []string{server, "-D", "-f", filepath.Join(sshDir, "sshd_config")}, Dir: "/", Env: environment("")}
		status, err := s.children.Run(cmd)
		s.Log.Warn("the SSH server has ended, and is started again", "status", status.ExitStatus(), "error", err)
		if pause.For(ctx, again) != nil {
			return
		}
	}
}

// fingerprintOf is the fingerprint of a public key, as ssh shows it.
func fingerprintOf(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return "", fmt.Errorf("%q is not a public key", line)
	}
	key, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil {
		return "", fmt.Errorf("read a public key: %w", err)
	}
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

// unlockFile lets root log in by a key: without PAM, sshd refuses a user whose password
// is locked by "!". The file is in memory.
func unlockFile(name string) error {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(unlock(string(text))), 0o600)
}

// unlock makes of a locked password of root one that nothing matches.
func unlock(shadow string) string {
	lines := strings.Split(shadow, "\n")
	for i, line := range lines {
		if fields := strings.Split(line, ":"); len(fields) > 1 && fields[0] == "root" && strings.HasPrefix(fields[1], "!") {
			fields[1] = "*"
			lines[i] = strings.Join(fields, ":")
		}
	}
	return strings.Join(lines, "\n")
}

func firstProgram(names ...string) string {
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return name
		}
	}
	return ""
}
