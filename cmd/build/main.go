// Command build builds cloudlets as its users get it: one static file that carries the
// program for machines (cmd/agent), compressed. Run it in the root of the module:
//
//	go run ./cmd/build -o bin/cloudlets
//
// It needs nothing but Go, and the same source gives the same bytes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "build: %v\n", err)
		}
		os.Exit(1)
	}
}

// builder builds programs of this module.
type builder struct {
	version string
	words   io.Writer // what the compiler says
}

func run(ctx context.Context, args []string, words io.Writer) (err error) {
	b := builder{words: words}
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	flags.SetOutput(words)
	out := flags.String("o", "bin/cloudlets", "the `file` to write")
	system := flags.String("os", runtime.GOOS, "the operating `system` that the program is for, by Go's name")
	arch := flags.String("arch", runtime.GOARCH, "the `architecture` that the program is for, by Go's name")
	agents := flags.String("agents", "", "the `architectures` of machines whose program it carries, with commas between them; that of -arch if it is empty")
	alone := flags.Bool("agent", false, "build only the program for machines of -arch, as cloudlets finds it in the folder that --assets names")
	flags.StringVar(&b.version, "version", describe(ctx), "the `version` that the programs tell")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *alone {
		return b.agent(ctx, *arch, *out)
	}
	temp, err := os.MkdirTemp("", "cloudlets-build-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if *agents == "" {
		*agents = *arch
	}
	overlay, err := b.overlay(ctx, temp, strings.Split(*agents, ","))
	if err != nil {
		return err
	}
	return b.compile(ctx, *system, *arch, *out, "-tags=agents", "-overlay="+overlay, "./cmd/cloudlets")
}

// overlay builds the programs for machines in the folder temp, and returns the file that
// lays them over the source of the package agents. So two builds at once, each with
// programs of its own, do not meet in that folder.
func (b builder) overlay(ctx context.Context, temp string, archs []string) (string, error) {
	replace := map[string]string{}
	for _, arch := range archs {
		plain := filepath.Join(temp, "agent-"+arch)
		if err := b.agent(ctx, arch, plain); err != nil {
			return "", err
		}
		if err := compress(plain, plain+".zst"); err != nil {
			return "", fmt.Errorf("compress the program for %s machines: %w", arch, err)
		}
		at, err := filepath.Abs(filepath.Join("cmd", "cloudlets", "agents", filepath.Base(plain)+".zst"))
		if err != nil {
			return "", err
		}
		replace[at] = plain + ".zst"
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(temp, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

// agent builds the program for machines of an architecture, which run Linux.
func (b builder) agent(ctx context.Context, arch, out string) error {
	return b.compile(ctx, "linux", arch, out, "./cmd/agent")
}

// compile runs `go build`. The programs are static. They have the revision of their
// source, by which a server knows an agent that is not of its own version.
func (b builder) compile(ctx context.Context, system, arch, out string, args ...string) error {
	tool := os.Getenv("GO")
	if tool == "" {
		tool = "go"
	}
	stamp := "auto"
	if _, err := git(ctx, "rev-parse", "HEAD"); err != nil {
		stamp = "false" // Go would fail where git does
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"build", "-trimpath", "-buildvcs=" + stamp, "-ldflags=-s -w -X 'main.version=" + b.version + "'", "-o", out}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	cmd.Stdout, cmd.Stderr = b.words, b.words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s for %s/%s: %w", args[len(args)-1], system, arch, err)
	}
	return nil
}

// describe returns the version as git describes it, or "dev".
func describe(ctx context.Context) string {
	version, err := git(ctx, "describe", "--tags", "--always", "--dirty")
	if err != nil {
		return "dev"
	}
	return version
}

func git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	return strings.TrimSpace(string(out)), err
}

// compress writes a file in Zstandard's format. With one goroutine the result does not
// depend on the computer.
func compress(from, to string) error {
	plain, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, w.EncodeAll(plain, nil), 0o600), w.Close())
}
