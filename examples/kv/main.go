// Kv is a key-value store in memory that speaks RESP, the protocol of Redis.
//
//	go run ./examples/kv -address 127.0.0.1:6380
//	redis-cli -p 6380 SET greeting hello EX 60
//
// It is a server.Server with callbacks. Each event loop serves its connections.
// All loops share the keys, which are in shards with a lock each. A key that
// expires has a timer on the timing wheel of a loop.
//
// The program does not hand its connections over to a new process, because the
// stored values would be lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"

	"github.com/seed-2334f180/weir/examples/internal/cli"
	"github.com/seed-2334f180/weir/loop"
)

func main() { cli.Main("kv", parseOptions, run) }

// run serves until a signal says stop.
func run(opts options) error {
	group, err := loop.NewGroup(opts.loops, loop.RoundRobin(), loop.Options{})
	if err != nil {
		return err
	}
	defer group.Close()
	s := newServer(opts, group)
	stopping, restore := signal.NotifyContext(context.Background(), cli.StopSignals()...)
	defer restore()
	addr, err := s.Listen("tcp", opts.address)
	if err != nil {
		return fmt.Errorf("-address %s: %w", opts.address, err)
	}
	if opts.debug != "" {
		stop, err := showDebug(opts.debug, &s.Server, group)
		if err != nil {
			return fmt.Errorf("-debug %s: %w", opts.debug, err)
		}
		defer stop()
	}
	fmt.Println("listening on", addr)
	<-stopping.Done()
	restore() // a second signal does not wait for the clients

	slog.Info("stopping", "connections", s.Stats().Conns, "grace", opts.grace)
	ctx, cancel := context.WithTimeout(context.Background(), opts.grace)
	defer cancel()
	err = s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		slog.Warn("the grace period is over")
		err = nil
	}
	slog.Info("stopped")
	return err
}
