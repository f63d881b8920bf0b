package httpd_test

import (
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/net/httpd"
)

// A web server of net/http, whose idle connections have no goroutine. With an address
// in srv.Addr, httpd.ListenAndServe(srv) does the same.
func Example() {
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello from", r.URL.Path)
	})}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- httpd.Serve(srv, l) }()

	client := &http.Client{Transport: &http.Transport{}}
	answer, err := client.Get("http://" + l.Addr().String() + "/here")
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	fmt.Printf("%s%v\n", text, err)

	client.CloseIdleConnections()
	srv.Close()
	fmt.Println(<-ended)
	// Output:
	// hello from /here
	// <nil>
	// http: Server closed
}
