package httpd

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"weak"
)

// hooks are what the program has set in a server. This package puts itself between
// net/http and them.
type hooks struct {
	state func(net.Conn, http.ConnState)
	conn  func(context.Context, net.Conn) context.Context
	base  func(net.Listener) context.Context
}

// hooked has the hooks of each server. A server may have several listeners, and its fields
// must not change while it serves, so the hooks are installed once. The server itself
// keeps them from being collected.
var (
	hookedMu sync.Mutex
	hooked   = make(map[weak.Pointer[http.Server]]weak.Pointer[hooks])
)

// installHooks replaces the server's hooks, unless that is done, and returns the program's.
func installHooks(srv *http.Server) *hooks {
	hookedMu.Lock()
	defer hookedMu.Unlock()
	key := weak.Make(srv)
	if h := hooked[key].Value(); h != nil {
		return h
	}
	h := &hooks{srv.ConnState, srv.ConnContext, srv.BaseContext}
	hooked[key] = weak.Make(h)
	runtime.AddCleanup(srv, forgetHooks, key)
	srv.ConnState = h.changed
	if h.conn != nil {
		srv.ConnContext = h.connContext
	}
	if h.base != nil {
		srv.BaseContext = h.baseContext
	}
	return h
}

func forgetHooks(key weak.Pointer[http.Server]) {
	hookedMu.Lock()
	defer hookedMu.Unlock()
	delete(hooked, key)
}

// changed is the server's ConnState.
func (h *hooks) changed(nc net.Conn, s http.ConnState) {
	if p, ok := nc.(parkable); ok {
		p.parking().changed(s)
		return
	}
	if s == http.StateNew {
		if _, ok := shaken.LoadAndDelete(nc); ok {
			return // the program knows it since before the handshake
		}
	}
	h.tell(nc, s)
}

// tell calls the program's ConnState.
func (h *hooks) tell(nc net.Conn, s http.ConnState) {
	if h.state != nil {
		h.state(nc, s)
	}
}

// connContext is the server's ConnContext. It calls the program's once for each connection.
func (h *hooks) connContext(ctx context.Context, nc net.Conn) context.Context {
	if p, ok := nc.(parkable); ok {
		return p.parking().context(ctx)
	}
	if c, ok := shaken.Load(nc); ok {
		return c.(*conn).context(ctx)
	}
	return h.conn(ctx, nc)
}

// shaken has the HTTP/2 connections that have ended their handshake, each with its conn,
// until net/http has taken them over.
var shaken sync.Map // of *tls.Conn

// baseContext is the server's BaseContext.
func (h *hooks) baseContext(l net.Listener) context.Context {
	switch l := l.(type) {
	case *front:
		l.yard.base = h.base(l.Listener)
		return l.yard.base
	case *back:
		return l.yard.base
	}
	return h.base(l)
}
