package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A server serves each connection on a goroutine of its own.
type server struct {
	options
	slots chan struct{} // one is taken by each connection that is served

	mu      sync.Mutex // for conns
	conns   map[*socket.Socket]struct{}
	serving sync.WaitGroup
}

func newServer(opts options) *server {
	return &server{
		options: opts,
		slots:   make(chan struct{}, opts.max),
		conns:   make(map[*socket.Socket]struct{}),
	}
}

// serve accepts connections until the context is done, and closes the
// listeners.
func (s *server) serve(ctx context.Context, listeners []*socket.Socket) error {
	err := s.accept(ctx, listeners)
	for _, l := range listeners {
		s.acceptRest(l)
		l.Close()
	}
	return err
}

// accept accepts connections while there are slots; the others stay in the
// backlog.
func (s *server) accept(ctx context.Context, listeners []*socket.Socket) error {
	pausing := false
	for {
		ready, err := weir.SelectContext(ctx, listeners, nil, nil, weir.Forever)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, l := range ready.Read {
			select {
			case s.slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			conn, err := l.Accept()
			if err == nil {
				pausing = false
				s.add(conn)
				s.serving.Go(func() { s.handle(conn) })
				continue
			}
			<-s.slots
			switch {
			case errors.Is(err, unix.EAGAIN):
				continue
			case errors.Is(err, unix.EINVAL), errors.Is(err, net.ErrClosed):
				return err // the listener is broken
			}
			// Most likely no descriptor is left (EMFILE or ENFILE). The
			// connection stays in the backlog. Another try would fail at once,
			// so pause.
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
}

// acceptRest accepts the connections in the backlog. These clients are connected, as
// far as they know, and may have sent something; closing the listener would reset
// them. They are served as others leave, or drain closes them. A client that
// connects between the last accept and the close is still reset.
func (s *server) acceptRest(l *socket.Socket) {
	for range backlog { // clients may connect faster than this loop accepts
		conn, err := l.Accept()
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			slog.Warn("not accepting the rest", "error", err)
			return
		}
		s.add(conn)
		s.serving.Go(func() {
			s.slots <- struct{}{}
			s.handle(conn)
		})
	}
}

func (s *server) handle(conn *socket.Socket) {
	defer func() { <-s.slots }()
	defer s.remove(conn)
	err := s.echo(conn)
	switch {
	case errors.Is(err, net.ErrClosed): // drain has closed it, and has logged that
	case errors.Is(err, os.ErrDeadlineExceeded):
		slog.Info("connection timed out", "peer", conn.RemoteAddr(), "timeout", s.timeout)
	case err != nil:
		slog.Info("connection broken", "peer", conn.RemoteAddr(), "error", err)
	}
}

// echo sends back what it receives, until the client has ended its stream. By then
// everything was sent, so the close that follows loses nothing.
func (s *server) echo(conn *socket.Socket) error {
	// Sending has a timeout, too. Otherwise a client that never reads would stay for ever.
	if err := errors.Join(conn.SetRecvTimeout(s.timeout), conn.SetSendTimeout(s.timeout)); err != nil {
		return err
	}
	buf := make([]byte, 8<<10)
	for {
		n, err := conn.Recv(buf, 0)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// drain lets the clients finish within the grace period, then closes the rest.
func (s *server) drain() {
	finished := make(chan struct{})
	go func() { s.serving.Wait(); close(finished) }()
	s.mu.Lock()
	slog.Info("stopping", "connections", len(s.conns), "grace", s.grace)
	s.mu.Unlock()

	select {
	case <-finished:
	case <-time.After(s.grace):
		s.mu.Lock()
		slog.Warn("the grace period is over", "closing", len(s.conns))
		for conn := range s.conns {
			conn.Close() // wakes its goroutine
		}
		s.mu.Unlock()
		<-finished
	}
	slog.Info("stopped")
}

func (s *server) add(conn *socket.Socket) {
	s.mu.Lock()
	s.conns[conn] = struct{}{}
	s.mu.Unlock()
}

func (s *server) remove(conn *socket.Socket) {
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	conn.Close()
}
