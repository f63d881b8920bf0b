package httpd

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
)

// A yard has the parked connections of one listener. net/http gets new connections from
// the front, and the parked ones that have input from the back: it serves both listeners.
type yard struct {
	srv   *http.Server
	hooks *hooks
	back  back
	start sync.Once
	base  context.Context // what BaseContext has returned for the front

	shortest, longest time.Duration // bounds of how long a connection lingers before it is parked
	beginning         time.Duration // as beginningTime

	mu          sync.Mutex
	changed     sync.Cond // woken has a connection, or closed is set
	parked      list
	woken       list
	shaking     list // in the TLS handshake
	parks       int  // how many times a connection was parked
	open        int  // connections that are not closed, and not hijacked
	frontClosed bool // no new connection comes
	closed      bool // the back is closed: nothing is parked any more
}

// A front is the listener for new connections.
type front struct {
	net.Listener
	yard   *yard
	config *tls.Config // nil for HTTP without TLS
}

func newFront(srv *http.Server, l net.Listener, config *tls.Config) *front {
	y := &yard{srv: srv, hooks: installHooks(srv), shortest: shortestLinger, longest: longestLinger, beginning: beginningTime}
	y.back = back{y, l.Addr()}
	y.changed.L = &y.mu
	return &front{l, y, config}
}

// Accept returns the next new connection. With TLS, the connection has no handshake before
// it, and comes by way of the back.
func (f *front) Accept() (net.Conn, error) {
	f.yard.start.Do(func() {
		go func() { _ = f.yard.srv.Serve(&f.yard.back) }() // until the back is closed
	})
	for {
		nc, err := f.Listener.Accept()
		switch {
		case err != nil:
			return nil, err
		case f.config == nil:
			return f.yard.enter(nc), nil
		case !f.yard.enterTLS(nc, f.config):
			return tls.Server(nc, f.config), nil
		}
	}
}

// Close closes the listener. Connections that are parked stay, for srv.Serve of the back.
func (f *front) Close() error {
	err := f.Listener.Close()
	f.yard.mu.Lock()
	f.yard.frontClosed = true
	f.yard.mu.Unlock()
	f.yard.closeUnused()
	return err
}

// enter makes an accepted connection parkable, if it can be.
func (y *yard) enter(nc net.Conn) net.Conn {
	switch u := nc.(type) {
	case *weirnet.TCPConn:
		c := &tcpConn{TCPConn: u}
		c.park.init(y, c, c, u, u.Socket())
		return c
	case *weirnet.UnixConn:
		c := &unixConn{UnixConn: u}
		c.park.init(y, c, c, u, u.Socket())
		return c
	}
	return nc
}

// leave says that a connection was closed or hijacked.
func (y *yard) leave() {
	y.mu.Lock()
	y.open--
	y.mu.Unlock()
	y.closeUnused()
}

// closeUnused closes the back when the last connection has left and no new one can come,
// so that the srv.Serve of the back returns.
func (y *yard) closeUnused() {
	y.mu.Lock()
	unused := y.frontClosed && y.open == 0
	y.mu.Unlock()
	if unused {
		_ = y.back.Close()
	}
}

// A back is the listener from which net/http gets connections that were parked.
type back struct {
	yard *yard
	addr net.Addr
}

// Addr returns the address of the front.
func (b *back) Addr() net.Addr { return b.addr }

// Accept returns the next connection that was parked and has input.
func (b *back) Accept() (net.Conn, error) {
	for {
		c, err := b.yard.next()
		if err != nil {
			return nil, err
		}
		if c.phase.Load() == resumed && !c.resume() {
			continue
		}
		if c.phase.Load() == never { // HTTP/2 belongs to net/http
			shaken.Store(c.given, c)
			b.yard.leave()
		}
		return c.given, nil
	}
}

// next waits for a connection that has been woken, and gives it to the caller.
func (y *yard) next() (*conn, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for y.woken.first == nil && !y.closed {
		y.changed.Wait()
	}
	if y.closed {
		return nil, net.ErrClosed
	}
	c := y.woken.first
	y.woken.remove(c)
	c.state = serving
	return c, nil
}

// wake has back.Accept look at a connection, if it is parked.
func (y *yard) wake(c *conn) {
	y.mu.Lock()
	if c.state == parked {
		c.state = woken
		y.parked.remove(c)
		y.woken.add(c)
		y.changed.Signal()
	}
	y.mu.Unlock()
}

// Close closes all connections that are parked. srv.Shutdown and srv.Close call it.
func (b *back) Close() error {
	y := b.yard
	y.mu.Lock()
	y.closed = true
	y.changed.Broadcast()
	all := append(append(y.parked.takeAll(), y.woken.takeAll()...), y.shaking.takeAll()...)
	for _, c := range all {
		c.state = closed
	}
	y.mu.Unlock()
	for _, c := range all {
		c.shut()
	}
	if len(all) > 0 {
		// srv holds its lock now, and the program's ConnState may call srv.
		go func() {
			for _, c := range all {
				c.tellClosed()
			}
		}()
	}
	return nil
}

// A list is a list of connections, by their links.
type list struct{ first, last *conn }

func (l *list) add(c *conn) {
	if c.prev = l.last; c.prev != nil {
		c.prev.next = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *list) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.prev, c.next = nil, nil
}

func (l *list) takeAll() (all []*conn) {
	for l.first != nil {
		all = append(all, l.first)
		l.remove(l.first)
	}
	return all
}
