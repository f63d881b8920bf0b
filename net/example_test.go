package net_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
)

// The web server and its client both use Weir sockets.
func ExampleListen() {
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	})}
	go server.Serve(l)
	defer server.Shutdown(context.Background())

	transport := &http.Transport{DialContext: new(weirnet.Dialer).DialContext}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("http://" + l.Addr().String())
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Println(string(body), err)
	// Output: hello <nil>
}

// The program uses the socket itself to read lines, which net's interfaces cannot do.
func ExampleDialer_DialSocket() {
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.WriteString(c, "220 ready\r\n")
			c.Close()
		}
	}()

	d := weirnet.Dialer{Timeout: time.Second}
	s, err := d.DialSocket(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	defer s.Close()
	line, err := s.ReadLine()
	fmt.Println(line, err)
	// Output: 220 ready <nil>
}
