// Package registry starts Debian's container registry on loopback, for tests.
package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// User and Password are those of a registry with a login.
const (
	User     = "user"
	Password = "secret"
	// htpasswd has them, as "htpasswd -B" writes it.
	htpasswd = "user:$2b$04$oQU8fUYlwp8vqx0znwsivuQLiMyKhimqK5xp84TOS4B.Rgwqsmore\n"
)

// patience is how long a registry may take to answer.
const patience = time.Minute

// Start starts a registry until the test ends, and returns its address:
// "127.0.0.1:PORT". It asks for a password if login is set.
func Start(t testing.TB, login bool) string {
	t.Helper()
	program := needs.Made(t, filepath.Join(needs.Module(t), "bin/docker-registry/usr/bin/docker-registry"), "bin/docker-registry")
	dir, addr := t.TempDir(), freeAddr(t)
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %s}\n", dir, addr)
	if login {
		config += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n", dir)
	}
	for name, text := range map[string]string{"config.yml": config, "htpasswd": htpasswd} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", filepath.Join(dir, "config.yml"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the error is that it ended by itself
		_ = cmd.Wait()
		_ = log.Close()
	})
	if err := await(t.Context(), addr); err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("the registry does not answer: %v: %s", err, text)
	}
	return addr
}

// await waits until a registry answers.
func await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v2/", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			return answer.Body.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
