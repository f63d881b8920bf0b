package soak

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/chaos"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
)

// A bed has the servers.
type bed struct {
	start    time.Time
	patience time.Duration
	dir      string // of the unix sockets

	events, handler, idle *server.Server
	eventsAddr, unixAddr  socket.Addr
	handlerAddr, idleAddr socket.Addr
	proxyAddr             socket.Addr
	proxy                 net.Listener
	proxied               atomic.Int64
	relays                sync.WaitGroup

	jobs    counts
	done    atomic.Int64 // jobs of all kinds
	checked atomic.Int64
	mu      sync.Mutex
	wrong   reports
}

// idleLimit is how long a client of the idle server may be silent.
const idleLimit = 150 * time.Millisecond

func newBed(patience time.Duration) (b *bed, err error) {
	b = &bed{start: time.Now(), patience: patience}
	if b.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	echo := server.Events{
		Open: func(c *server.Conn) error { c.User = new(chaos.Checker); return nil },
		Data: func(c *server.Conn) error {
			p := c.Next(-1)
			if err := b.check(c.User.(*chaos.Checker), p); err != nil {
				return err
			}
			_, err := c.Write(p)
			return err
		},
	}
	b.events = &server.Server{Log: quiet, Events: echo}
	b.idle = &server.Server{Log: quiet, Events: echo, Timeouts: server.Timeouts{Idle: idleLimit}}
	b.handler = &server.Server{
		Log:   quiet,
		Begin: func(s *server.Session) error { s.User = new(chaos.Checker); return nil },
		Handler: func(s *server.Session) error {
			buf := make([]byte, 4<<10)
			n, err := s.Read(buf)
			if err != nil {
				return err
			}
			if err := b.check(s.User.(*chaos.Checker), buf[:n]); err != nil {
				return err
			}
			_, err = s.Write(buf[:n])
			return err
		},
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	listen := func(s *server.Server, network, address string, to *socket.Addr) {
		if err == nil {
			*to, err = s.Listen(network, address)
		}
	}
	listen(b.events, "tcp4", "127.0.0.1:0", &b.eventsAddr)
	listen(b.events, "unix", filepath.Join(b.dir, "s"), &b.unixAddr)
	listen(b.handler, "tcp4", "127.0.0.1:0", &b.handlerAddr)
	listen(b.idle, "tcp4", "127.0.0.1:0", &b.idleAddr)
	if err == nil {
		err = b.startProxy()
	}
	return b, err
}

// check checks input of a server. The kind of its client is not known, so the error counts
// as one of the first kind.
func (b *bed) check(c *chaos.Checker, p []byte) error {
	b.checked.Add(int64(len(p)))
	err := c.Check(p)
	if err != nil {
		b.note(0, fmt.Errorf("a server got wrong bytes: %w", err))
	}
	return err
}

// startProxy starts a proxy of package net before the server with Events. Its bytes go by
// splice(2).
func (b *bed) startProxy() error {
	l, err := weirnet.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.proxy = l
	if b.proxyAddr, err = socket.ParseAddr(socket.Inet, l.Addr().String()); err != nil {
		return err
	}
	b.relays.Go(func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			b.proxied.Add(1)
			b.relays.Go(func() {
				defer b.proxied.Add(-1)
				defer front.Close()
				back, err := weirnet.Dial("tcp4", b.eventsAddr.String())
				if err != nil {
					return
				}
				defer back.Close()
				var both sync.WaitGroup
				both.Go(func() { relay(front, back) })
				relay(back, front)
				both.Wait()
			})
		}
	})
	return nil
}

// relay moves the bytes of one direction. An error ends both directions.
func relay(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()   //nolint:errcheck // it may be closed already
		from.Close() //nolint:errcheck // as above
		return
	}
	to.(*weirnet.TCPConn).CloseWrite() //nolint:errcheck // the other direction tells
}

// settle waits until the servers have no connections left.
func (b *bed) settle() error {
	open := func() int64 {
		n := b.proxied.Load()
		for _, s := range []*server.Server{b.events, b.handler, b.idle} {
			n += int64(s.Stats().Conns)
		}
		return n
	}
	for end := time.Now().Add(longest * b.patience); open() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("after %v without clients the servers have %d connections left", longest*b.patience, open())
		}
	}
	return nil
}

func (b *bed) close() {
	if b.proxy != nil {
		b.proxy.Close() //nolint:errcheck // nothing follows
	}
	for _, s := range []*server.Server{b.events, b.handler, b.idle} {
		s.Close() //nolint:errcheck // as above
	}
	b.relays.Wait()
	os.RemoveAll(b.dir) //nolint:errcheck // as above
}

var errEarly = errors.New("a call was early")
