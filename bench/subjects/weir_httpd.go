package subjects

import (
	"net"
	"net/http"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/net/httpd"
)

var weirHTTPDSubject = Subject{
	Name:      "weir-httpd",
	About:     "Weir's package httpd, which parks the idle connections of net/http",
	Listen:    func() (net.Listener, error) { return weirnet.Listen("tcp4", "127.0.0.1:0") },
	ServeHTTP: serveHTTPD,
}

func serveHTTPD(srv *http.Server, l net.Listener) error {
	if srv.TLSConfig != nil {
		return httpd.ServeTLS(srv, l, "", "")
	}
	return httpd.Serve(srv, l)
}
