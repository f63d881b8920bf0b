// Http is a web server: net/http, served by Weir's package httpd.
//
//	go run ./examples/http -address 127.0.0.1:8080 -root .
//	curl http://127.0.0.1:8080/README.md
//	curl http://127.0.0.1:8080/api/status
//
// It serves the files of a directory, which the kernel sends (sendfile), and two
// small JSON endpoints. Only two lines of it are about Weir: the listener, and
// httpd.Serve, with which an idle connection has no goroutine and no buffers.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/signal"

	"github.com/seed-2334f180/weir/examples/internal/cli"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/net/httpd"
)

func main() { cli.Main("http", parseOptions, run) }

// run serves until a signal says stop.
func run(opts options) error {
	site, err := newSite(opts.root)
	if err != nil {
		return fmt.Errorf("-root %s: %w", opts.root, err)
	}
	defer site.Close()
	listener, err := weirnet.Listen("tcp", opts.address)
	if err != nil {
		return fmt.Errorf("-address %s: %w", opts.address, err)
	}
	stopping, restore := signal.NotifyContext(context.Background(), cli.StopSignals()...)
	fmt.Println("listening on", listener.Addr())

	server := &http.Server{
		Handler:           site,
		ReadHeaderTimeout: opts.header,
		IdleTimeout:       opts.idle,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelInfo),
	}
	served := make(chan error, 1)
	go func() { served <- httpd.Serve(server, listener) }()
	select {
	case err := <-served: // the listener is broken
		restore()
		return err
	case <-stopping.Done():
	}
	restore() // a second signal does not wait for the requests
	return stop(server, opts)
}

// stop lets the requests in progress end within the grace period.
func stop(server *http.Server, opts options) error {
	slog.Info("stopping", "grace", opts.grace)
	grace, cancel := context.WithTimeout(context.Background(), opts.grace)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		slog.Warn("the grace period is over")
		err = server.Close()
	}
	slog.Info("stopped")
	return err
}
