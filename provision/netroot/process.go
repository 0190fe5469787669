package netroot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sync/errgroup"

	"cloudlets/provision/nbd"
)

// ProcessName is the name under which the process runs. systemd leaves processes whose name
// begins so alone when it ends all others
// (https://systemd.io/ROOT_STORAGE_DAEMONS/).
const ProcessName = "@cloudlets-root"

// omitDir is where sysvinit's scripts look for processes that they must not end, as
// initscripts' README.Debian says.
const omitDir = "/run/sendsigs.omit.d"

// Start starts the process, gives it the order as JSON on its standard input, and returns
// the device file of the disk that it serves. The process then belongs to no one: it runs
// until the machine is switched off.
func Start(order any) (device string, err error) {
	device, err = start(order)
	if err != nil {
		return "", fmt.Errorf("start the process that fetches the root: %w", err)
	}
	return device, nil
}

// answer is what the process says when it serves a disk, or cannot.
type answer struct {
	Device string `json:"device,omitempty"`
	Error  string `json:"error,omitempty"`
}

func start(order any) (device string, err error) {
	text, err := json.Marshal(order)
	if err != nil {
		return "", err
	}
	stdin, ask, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer stdin.Close()
	defer ask.Close()
	told, tell, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer told.Close()
	defer tell.Close()
	log, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer log.Close()
	process, err := os.StartProcess("/proc/self/exe", []string{ProcessName}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{stdin, tell, log}, Sys: &syscall.SysProcAttr{Setsid: true}, // away from the console and its keys
	})
	if err != nil {
		return "", err
	}
	_ = tell.Close() // so that the end of the process ends the answer
	if _, err = ask.Write(text); err == nil {
		err = ask.Close()
	}
	var said answer
	if bad := json.NewDecoder(io.LimitReader(told, 64<<10)).Decode(&said); bad != nil {
		err = errors.Join(err, fmt.Errorf("it ended without an answer: %w", bad))
	} else if said.Error != "" {
		err = errors.Join(err, errors.New(said.Error))
	}
	if err != nil {
		_ = process.Kill()
		_, _ = process.Wait()
		return "", err
	}
	if err := omit(omitDir, process.Pid); err != nil {
		return "", err
	}
	return said.Device, process.Release()
}

// omit asks the scripts that end all processes to leave one alone.
func omit(dir string, pid int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cloudlets-root"), []byte(strconv.Itoa(pid)+"\n"), 0o644)
}

// ReadOrder reads the order that [Start] gave to this process.
func ReadOrder(order any) error {
	if err := json.NewDecoder(os.Stdin).Decode(order); err != nil {
		return fmt.Errorf("read which root to fetch: %w", err)
	}
	return nil
}

// Answer tells the process that called [Start] which disk is served, or why none is. After
// that nothing of the standard input or output is used.
func Answer(device string, failure error) error {
	said := answer{Device: device}
	if failure != nil {
		said.Error = failure.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(said)
}

// Survive makes this process one that the kernel does not end when memory is short: the
// whole system would stop. Lists of processes show it by a name that tells what it is.
func Survive() error {
	_ = os.WriteFile("/proc/self/comm", []byte("cloudlets-root"), 0) // it is only a name
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		return fmt.Errorf("keep the kernel from ending the process of the root: %w", err)
	}
	return nil
}

// Serve serves a cache as a disk of the kernel, and reads ahead, until ctx ends or the
// kernel closes the disk. begun and ended are called when reading ahead begins and when all
// is here.
func Serve(ctx context.Context, disk *nbd.Disk, cache *Cache, begun, ended func(), log *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error {
		defer stop() // without a disk nobody needs the rest
		return disk.Serve(ctx, cache)
	})
	group.Go(func() error {
		err := cache.ReadAhead(ctx, begun)
		if err == nil {
			ended()
		} else if ctx.Err() == nil {
			log.Warn("the rest of the root is not read ahead", "error", err)
		}
		return nil
	})
	return group.Wait()
}
