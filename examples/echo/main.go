// Echo is a TCP echo server: it sends back what its clients send.
//
//	go run ./examples/echo -address 127.0.0.1:7007
//	nc 127.0.0.1 7007
//
// A goroutine serves each connection with calls that look blocking, and cost
// no thread while they wait.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

func main() {
	opts, err := parseOptions(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(2)
	}
	if err := run(opts); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

// run serves until a signal says stop.
func run(opts options) error {
	listener, err := listen(opts)
	if err != nil {
		return fmt.Errorf("-address %s: %w", opts.address, err)
	}
	stopping, restore := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	fmt.Println("listening on", listener.LocalAddr())

	s := newServer(opts)
	err = s.serve(stopping, listener)
	listener.Close()
	restore() // a second signal does not wait for the clients
	s.drain()
	return err
}

func listen(opts options) (*socket.Socket, error) {
	local := []socket.Option{socket.Port(opts.port), socket.ReuseAddress()}
	if opts.host != "" {
		local = append(local, socket.Address(opts.host))
	}
	listener, err := socket.New(opts.family(), socket.Stream, 0, local...)
	if err != nil {
		return nil, err
	}
	// What is set here is inherited by the sockets that Accept returns.
	err = errors.Join(listener.SetNoDelay(true), listener.Listen(-1))
	if err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}
