package httpd

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"weak"
)

// hooked has the servers whose hooks are installed. A server may have several listeners,
// and its fields must not change while it serves.
var (
	hookedMu sync.Mutex
	hooked   = make(map[weak.Pointer[http.Server]]bool)
)

// installHooks puts this package between net/http and the program's ConnState,
// ConnContext and BaseContext.
func installHooks(srv *http.Server) {
	hookedMu.Lock()
	defer hookedMu.Unlock()
	key := weak.Make(srv)
	if hooked[key] {
		return
	}
	hooked[key] = true
	runtime.AddCleanup(srv, forgetHooks, key)
	state := srv.ConnState
	srv.ConnState = func(nc net.Conn, s http.ConnState) {
		if p, ok := nc.(parkable); ok {
			p.parking().changed(s, state)
		} else if state != nil {
			state(nc, s)
		}
	}
	if of := srv.ConnContext; of != nil {
		srv.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
			p, ok := nc.(parkable)
			if !ok {
				return of(ctx, nc)
			}
			c := p.parking()
			if c.ctx == nil {
				c.ctx = of(ctx, nc)
			}
			return c.ctx
		}
	}
	if base := srv.BaseContext; base != nil {
		srv.BaseContext = func(l net.Listener) context.Context {
			switch l := l.(type) {
			case *front:
				l.yard.base = base(l.Listener)
				return l.yard.base
			case *back:
				return l.yard.base
			}
			return base(l)
		}
	}
}

func forgetHooks(key weak.Pointer[http.Server]) {
	hookedMu.Lock()
	defer hookedMu.Unlock()
	delete(hooked, key)
}
