// Proxy is a TCP proxy. It connects each client to a server, and passes on what
// both send.
//
//	go run ./examples/proxy -address 127.0.0.1:7009 -to www.example.com:80
//
// Two goroutines serve a connection, one for each direction, with calls that
// look blocking. The bytes do not leave the kernel: splice(2) moves them. Each
// direction ends separately, so a client that has ended its stream still gets the
// whole answer. If the connection breaks on one side, the proxy breaks the other.
package main

import (
	"context"
	"fmt"
	"os/signal"

	"github.com/seed-2334f180/weir/examples/internal/cli"
	weirnet "github.com/seed-2334f180/weir/net"
)

func main() { cli.Main("proxy", parseOptions, run) }

// run serves until a signal says stop.
func run(opts options) error {
	// Accepted connections inherit TCP_NODELAY and keep-alive.
	listener, err := new(weirnet.ListenConfig).ListenSocket(context.Background(), "tcp", opts.address)
	if err != nil {
		return fmt.Errorf("-address %s: %w", opts.address, err)
	}
	stopping, restore := signal.NotifyContext(context.Background(), cli.StopSignals()...)
	fmt.Println("listening on", listener.LocalAddr())

	p := newProxy(opts)
	err = p.serve(stopping, listener)
	listener.Close()
	restore() // a second signal does not wait for the connections
	p.drain()
	return err
}
