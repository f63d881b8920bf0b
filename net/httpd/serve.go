package httpd

import (
	"cmp"
	"net"
	"net/http"

	weirnet "github.com/seed-2334f180/weir/net"
)

// ListenAndServe listens on the TCP address srv.Addr, or ":http" if that is empty, and
// then calls Serve.
func ListenAndServe(srv *http.Server) error {
	l, err := weirnet.Listen("tcp", cmp.Or(srv.Addr, ":http"))
	if err != nil {
		return err
	}
	return Serve(srv, l)
}

// Serve is srv.Serve for a listener of package weir/net, and parks idle connections. It
// returns http.ErrServerClosed after srv.Shutdown or srv.Close, and the error of the
// listener if that fails. As with srv.Serve, the connections that are open then are
// served further. Serve closes l.
//
// Several goroutines may serve the same srv. Serve replaces srv.ConnState, and
// srv.ConnContext and srv.BaseContext if they are set, by functions that call them. So the
// program must set them before the first call of Serve, and must not change them later.
func Serve(srv *http.Server, l net.Listener) error { return srv.Serve(NewListener(srv, l)) }

// NewListener returns the listener for a program or a package that calls srv.Serve itself:
// Serve(srv, l) is srv.Serve(NewListener(srv, l)). Only srv may serve the result.
func NewListener(srv *http.Server, l net.Listener) net.Listener { return newFront(srv, l, nil) }

// ListenAndServeTLS listens on the TCP address srv.Addr, or ":https" if that is empty, and
// then calls ServeTLS.
func ListenAndServeTLS(srv *http.Server, certFile, keyFile string) error {
	l, err := weirnet.Listen("tcp", cmp.Or(srv.Addr, ":https"))
	if err != nil {
		return err
	}
	defer l.Close()
	return ServeTLS(srv, l, certFile, keyFile)
}

// ServeTLS is srv.ServeTLS for a listener of package weir/net, and parks idle connections of
// HTTP/1.1. The files may be empty if srv.TLSConfig has a certificate. Otherwise it is as
// Serve. The connection that ConnState and ConnContext get is a *tls.Conn. The one that
// Hijacker returns has its methods, but is of a type of this package. Shutdown does not wait
// for handshakes.
func ServeTLS(srv *http.Server, l net.Listener, certFile, keyFile string) error {
	config, err := tlsConfig(srv, certFile, keyFile)
	if err != nil {
		l.Close()
		return err
	}
	return srv.Serve(newFront(srv, l, config))
}
