// Package httpd serves HTTP by Go's own net/http, and takes from net/http each connection
// that is idle: such a connection has no goroutine and no buffers until its next request
// arrives.
//
//	srv := &http.Server{Addr: ":8080", Handler: handler, IdleTimeout: time.Minute}
//	log.Fatal(httpd.ListenAndServe(srv))
//
// The handler, the requests and the responses are net/http's. Timeouts, Shutdown, Close,
// hijacked connections and the contexts of requests work as the documentation of net/http
// says.
//
// # Parking
//
// When net/http has answered a request and waits for the next one, it first waits as
// usual, for 10 milliseconds at least. If the requests of a connection follow one another
// in less than 250 milliseconds once it was parked, it waits for twice as long as that pause.
// So a busy connection keeps its goroutine. If nothing arrives in that time, the connection is
// parked: net/http's goroutine ends, and the event loop watches the descriptor. When
// input arrives, the connection goes back to net/http, which starts a goroutine for it.
// When the peer closes a parked connection, or its IdleTimeout is over, it is closed
// without net/http.
//
// A connection is parked only after its first response, while net/http has read nothing
// of the next request. HTTP/2 connections are never parked. A connection whose listener
// is not of package weir/net is never parked either.
//
// # What a program sees
//
// Server.ConnState is called as if a parked connection were still in net/http: with
// StateIdle after the response, with nothing when the connection is parked, and then with
// StateActive or StateClosed. Server.ConnContext is called once for each connection. The
// net.Conn is the same from StateNew to StateClosed. Its type is one of this package, with
// the methods of *net.TCPConn or *net.UnixConn of package weir/net.
//
// Three things differ for a connection that was parked. ReadHeaderTimeout of the next request
// begins with its first byte, and not with its fourth. An empty line before a request is
// skipped, as RFC 9112 (2.2) recommends, and not only behind a POST.
// SetKeepAlivesEnabled(false) does not close the connection before its next response.
//
// Parking relies on what net/http does when it waits: after ConnState has said StateIdle
// it sets the read deadline and reads into an empty buffer of 4096 bytes. If a release of
// Go does something else, no connection is parked, and all else works.
package httpd
