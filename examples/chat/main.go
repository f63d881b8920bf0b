// Chat is a chat server for people with nc or socat: lines of text, one room.
//
//	go run ./examples/chat -address 127.0.0.1:7008
//	nc 127.0.0.1 7008
//
// It is a server.Server with callbacks on several loops. A line is stored once for
// each loop, and the loop writes it to its members. All members see the same lines
// in the same order. A member that does not read delays no other.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"

	"github.com/seed-2334f180/weir/examples/internal/cli"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

func main() { cli.Main("chat", parseOptions, run) }

// run serves until a signal says stop.
func run(opts options) error {
	group, err := loop.NewGroup(opts.loops, loop.RoundRobin(), loop.Options{})
	if err != nil {
		return err
	}
	defer group.Close()
	s := newServer(opts, group)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, append(cli.StopSignals(), unix.SIGUSR2)...)
	// Listeners that a predecessor or systemd has passed are used instead of -address.
	n, err := s.Inherit()
	if err == nil && n == 0 {
		_, err = s.Listen("tcp", opts.address)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("-address %s: %w", opts.address, err), s.Close())
	}
	for _, addr := range s.Addrs() {
		fmt.Println("listening on", addr)
	}

	notice := "the server stops"
	for sig := range signals {
		if sig != unix.SIGUSR2 {
			break
		}
		if err := handOver(s); err != nil {
			slog.Error("not handed over", "error", err)
			continue
		}
		notice = "the server has a successor: please connect again"
		break
	}
	signal.Reset() // a second signal does not wait for the clients
	return stop(s, notice)
}

// handOver starts a successor, which accepts connections from now on. The successor
// is the program at this program's path, which may be a newer one.
func handOver(s *service) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	ctx, cancel := context.WithTimeout(context.Background(), s.options.grace)
	defer cancel()
	if err := s.Handover(ctx, cmd); err != nil {
		return err
	}
	slog.Info("handed over", "successor", cmd.Process.Pid)
	return cmd.Process.Release()
}

func stop(s *service, notice string) error {
	slog.Info("stopping", "members", s.Stats().Conns, "grace", s.options.grace)
	s.room.stop(notice)
	ctx, cancel := context.WithTimeout(context.Background(), s.options.grace)
	defer cancel()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		slog.Warn("the grace period is over")
		err = nil
	}
	slog.Info("stopped")
	return err
}
