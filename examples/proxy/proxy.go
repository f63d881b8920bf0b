package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A proxy serves its clients.
type proxy struct {
	options
	dialer weirnet.Dialer
	slots  chan struct{} // one is taken by each client

	// ctx ends look-ups and dials when the grace period is over.
	ctx     context.Context
	abort   context.CancelFunc
	serving sync.WaitGroup
}

func newProxy(opts options) *proxy {
	p := &proxy{
		options: opts,
		dialer:  weirnet.Dialer{Timeout: opts.connect},
		slots:   make(chan struct{}, opts.max),
	}
	p.ctx, p.abort = context.WithCancel(context.Background())
	return p
}

// serve accepts clients until the context is done, while there are slots.
func (p *proxy) serve(ctx context.Context, listener *socket.Socket) error {
	listener = listener.WithContext(ctx) // Accept then ends with the context
	pausing := false
	for {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		client, err := listener.Accept()
		switch {
		case err == nil:
			pausing = false
			p.serving.Go(func() {
				p.handle(client)
				<-p.slots
			})
			continue
		case ctx.Err() != nil:
			<-p.slots
			return nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, net.ErrClosed):
			return err // the listener is broken
		}
		// Most likely no descriptor is left (EMFILE or ENFILE). The connection
		// stays in the backlog. Another try would fail at once, so pause.
		<-p.slots
		if !pausing {
			slog.Warn("accepting slowly", "error", err)
			pausing = true
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// handle connects a client to the server.
func (p *proxy) handle(client *socket.Socket) {
	server, err := p.dialer.DialSocket(p.ctx, "tcp", p.to)
	if err != nil {
		slog.Warn("no server for client", "client", client.RemoteAddr(), "error", err)
		reset(client)
		return
	}
	// From here on Close ends all calls of the link. So the end of the grace period
	// closes the sockets.
	l := &link{client: client, server: server, idle: p.idle}
	defer context.AfterFunc(p.ctx, l.reset)()
	if err := l.relay(); err != nil && p.ctx.Err() == nil {
		slog.Info("connection broken", "client", client.RemoteAddr(), "error", err)
	}
}

// drain lets the connections end within the grace period, then resets the rest.
func (p *proxy) drain() {
	finished := make(chan struct{})
	go func() { p.serving.Wait(); close(finished) }()
	slog.Info("stopping", "connections", len(p.slots), "grace", p.grace)

	select {
	case <-finished:
	case <-time.After(p.grace):
		slog.Warn("the grace period is over", "closing", len(p.slots))
		p.abort()
		<-finished
	}
	slog.Info("stopped")
}
