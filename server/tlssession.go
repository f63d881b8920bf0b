package server

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"time"

	"github.com/seed-2334f180/weir/internal/tlsheld"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"golang.org/x/sys/unix"
)

// Every accepted TLS connection begins as a Session. It has no goroutine until the client
// has sent something. Then a goroutine of the loop does the handshake. After it a
// connection of Events becomes a Conn, and a connection of a Handler stays a Session.

// Conn returns the connection as a net.Conn: with TLS a *tls.Conn, otherwise a connection
// of Weir's package net. Its Read does not return what ReadLine and Peek have read ahead.
// With TLS the methods of Session move plain bytes, but those of the field Socket, and of
// what its SyscallConn returns, move ciphertext.
func (x *Session) Conn() net.Conn {
	if x.secure() != nil {
		return x.secure().conn
	}
	c, err := weirnet.NewConn(&x.Socket)
	if err != nil { // it is a stream of the families inet, inet6 or unix
		panic(err)
	}
	return c
}

// TLS returns the state of the TLS connection, or false if there is no TLS: see Conn.TLS.
// Begin and Handler are called after the handshake.
func (x *Session) TLS() (state tls.ConnectionState, ok bool) {
	if x.secure() == nil {
		return tls.ConnectionState{}, false
	}
	return x.secure().conn.ConnectionState(), true
}

// settle is rest for Shutdown, which must not wait: an idle TLS session holds nothing that
// a Handler could read.
func (x *Session) settle() bool {
	if x.secure() != nil {
		return x.idle()
	}
	return x.rest()
}

// A secureObserver is the loop.Observer of a Session with TLS. So a Session without TLS
// needs no memory for it.
type secureObserver struct {
	*sessionObserver
	secured *secured
}

// secureBy makes s the TLS side of a session that has not begun.
func (x *Session) secureBy(s *secured) { x.hook.To = &secureObserver{(*sessionObserver)(x), s} }

// secure returns the TLS side of the session, or nil.
func (x *Session) secure() *secured {
	if o, ok := x.hook.To.(*secureObserver); ok {
		return o.secured
	}
	return nil
}

// sessionOf returns the session of an observer, or nil if it is none of a session.
func sessionOf(o loop.Observer) *Session {
	switch o := o.(type) {
	case *sessionObserver:
		return (*Session)(o)
	case *secureObserver:
		return (*Session)(o.sessionObserver)
	}
	return nil
}

// shaking reports whether the handshake is not over yet.
func (x *Session) shaking() bool { return x.secure() != nil && !x.secure().shaken }

// shake does the handshake. It returns false if the session ends with it: the handshake
// has failed, or the connection has become a Conn.
func (x *Session) shake() bool {
	if err := x.call((*Session).handshake); err != nil {
		x.end(err)
		return false
	}
	if x.engine().service.Handler == nil {
		x.becomeConn()
		return false
	}
	x.secure().shaken = true
	x.beginTimes()
	return x.greet()
}

// beginsNow reports whether the handshake can begin without further input.
func (s *secured) beginsNow() bool { return s.speaks || len(s.link.ahead) > 0 }

// handshake runs crypto/tls's handshake within Timeouts.Handshake.
func (x *Session) handshake() error {
	p := x.place.Load()
	limit := p.eng.service.Timeouts.Handshake
	left := time.Duration(p.since.Load()) + limit - p.eng.loop.Elapsed()
	if err := x.SetDeadline(time.Now().Add(left)); err != nil {
		return err
	}
	tlsheld.Lend(x.secure().conn)
	err := x.secure().conn.Handshake()
	if timedOut(err) {
		return &TimeoutError{Of: "handshake", After: limit}
	}
	if err == nil {
		err = x.SetDeadline(time.Time{})
	}
	return err
}

// timedOut reports whether err is, or wraps, the error of a deadline.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// beginTimes replaces Timeouts.Handshake by the timeouts that hold after it.
func (x *Session) beginTimes() {
	p := x.place.Load()
	times := p.eng.service.Timeouts
	_ = x.SetRecvTimeout(times.Read) // it fails only on a closed Socket
	if !times.any {
		p.timer.Stop()
		if p.announced.IsValid() {
			x.place.Store(&place{eng: p.eng, announced: p.announced})
		} else {
			x.place.Store(&p.eng.place)
		}
		return
	}
	p.since.Store(int64(p.eng.loop.Elapsed()))
	p.timer.Reset(x.limit())
}

// becomeConn gives the connection to its engine, which serves it by Events.
func (x *Session) becomeConn() {
	p := x.place.Load()
	peer := x.PeerAddr()
	fd, _, err := x.Release()
	for errors.Is(err, unix.EBUSY) { // a goroutine that had the session before still looks at the Socket
		runtime.Gosched()
		fd, _, err = x.Release()
	}
	if err != nil { // Server.Close has closed the Socket
		x.end(net.ErrClosed)
		return
	}
	x.state.Store(sessionOver)
	p.timer.Stop()
	x.hook.Unhang()
	p.eng.send(arrival{fd: fd, peer: peer, announced: p.announced, source: x.source, user: x.User, tls: x.secure()})
}

// ready reports whether a Handler has something to read: plain bytes, the end or an
// error. It decrypts what has arrived, and does not wait for more. A part of a record
// stays in the tls.Conn. Only the goroutine of the session may call ready.
func (s *secured) ready(e *engine) bool {
	if !tlsheld.Known() || s.hasPlain() || s.failed != nil {
		return true
	}
	tlsheld.Lend(s.conn)
	var b [1]byte
	s.link.nowait = true
	n, err := s.conn.Read(b[:])
	s.link.nowait = false
	switch {
	case n > 0:
		tlsheld.Unread(s.conn, b[0])
		return true
	case err == errNoCipher, timedOut(err): // the second if the wait for Rates.Read was too long
	default:
		s.failed = err
		return true
	}
	tlsheld.Reclaim(s.conn)
	s.weigh(e)
	return false
}

// hasPlain reports whether there are decrypted bytes that the Handler has not read.
func (s *secured) hasPlain() bool { return len(s.plain) > 0 || tlsheld.Plain(s.conn) > 0 }

// over returns why a Handler can read nothing more, or nil if it can.
func (s *secured) over() error {
	if s.hasPlain() {
		return nil
	}
	return s.failed
}

// leave sends close_notify, if that needs no waiting. Later writes to the tls.Conn fail.
func (s *secured) leave() {
	s.link.leaving.Store(true)
	_ = s.conn.Close() // it says that close_notify was not sent
}
