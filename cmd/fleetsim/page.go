//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"cloudlets/images/pause"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// watchPage has the first rows of the page asked for each second, from the daemons in
// turn. A process of its own does that, as a browser would: in this one, thousands of
// machines wait for their turn as well.
func watchPage(ctx context.Context, b *bed, r *result) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var args []string
	for _, s := range b.servers {
		args = append(args, "--page", s.socket)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == noAnswer {
			r.notes.count("page: no answer")
			continue
		}
		ns, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			return errors.Join(fmt.Errorf("the process that looks at the page said %q", lines.Text()), cmd.Wait())
		}
		r.notes.took("page: first page", time.Duration(ns))
	}
	if err := cmd.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// noAnswer stands for a time if a daemon did not answer, as one that was killed does not.
const noAnswer = "no answer"

// lookAtPage asks the daemons with these sockets for the page's first rows as the page
// does, and writes how many nanoseconds each answer took, or noAnswer.
func lookAtPage(ctx context.Context, sockets []string, out io.Writer) error {
	var clients []*api.Client
	for _, socket := range sockets {
		client := api.NewClient(socket)
		defer client.Close()
		clients = append(clients, client)
	}
	for i := 0; ; i++ {
		began := time.Now()
		_, err := clients[i%len(clients)].Page(ctx, roster.Query{})
		said := noAnswer
		if err == nil {
			said = strconv.FormatInt(time.Since(began).Nanoseconds(), 10)
		} else if ctx.Err() != nil {
			return nil
		}
		if _, err := fmt.Fprintln(out, said); err != nil {
			return err
		}
		if pause.For(ctx, time.Second) != nil {
			return nil
		}
	}
}
