package main

import (
	"context"
	"fmt"
	"regexp"

	"cloudlets/testdata/bed"
)

// broken matches what a console shows of a machine that will not get to its login prompt.
var broken = []*regexp.Regexp{regexp.MustCompile(`cloudlets: FAILED: .*`), regexp.MustCompile(`Kernel panic.*`)}

// session is the demo's side of a machine's console, from switch-on to switch-off. It
// counts what it has seen: the console keeps all text, and each start prints the same.
type session struct {
	console *bed.Console
	seen    map[string]int
}

func newSession(console *bed.Console) *session {
	return &session{console: console, seen: map[string]int{}}
}

// next waits until the console shows the pattern once more than next has waited for it.
func (s *session) next(ctx context.Context, pattern string) error {
	s.seen[pattern]++
	_, err := s.console.Expect(ctx, regexp.MustCompile(fmt.Sprintf(`(?s)(?:(?:%s).*?){%d}`, pattern, s.seen[pattern])), broken...)
	return err
}

// login logs in as root, who has no password, once the login prompt is there.
func (s *session) login(ctx context.Context, hostname string) error {
	if err := s.console.Type("root\n"); err != nil {
		return err
	}
	return s.next(ctx, regexp.QuoteMeta("root@"+hostname+":~# "))
}

// run types a line at a shell, and waits until it has printed a line that matches.
func (s *session) run(ctx context.Context, line, pattern string) error {
	if err := s.console.Type(line + "\n"); err != nil {
		return err
	}
	return s.next(ctx, "\n"+pattern+"\n")
}
