// Echo is a TCP echo server: it sends back what its clients send.
//
//	go run ./examples/echo -address 127.0.0.1:7007
//	nc 127.0.0.1 7007
//
// A goroutine serves each connection, with calls that look blocking. A call that
// waits costs no thread.
package main

import (
	"context"
	"fmt"
	"net"
	"os/signal"

	"github.com/seed-2334f180/weir/examples/internal/cli"
)

func main() { cli.Main("echo", parseOptions, run) }

// run serves until a signal says stop.
func run(opts options) error {
	listeners, err := listen(opts, net.DefaultResolver.LookupNetIP)
	if err != nil {
		return fmt.Errorf("-address %s: %w", opts.address, err)
	}
	stopping, restore := signal.NotifyContext(context.Background(), cli.StopSignals()...)
	for _, l := range listeners {
		fmt.Println("listening on", l.LocalAddr())
	}
	s := newServer(opts)
	err = s.serve(stopping, listeners)
	restore() // a second signal does not wait for the clients
	s.drain()
	return err
}
