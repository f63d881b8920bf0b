package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/server"
)

// Inspect describes the open connections, as package debug's page shows them.
func ExampleConnInfo() {
	srv := &server.Server{Events: server.Events{Data: echo}}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	io.WriteString(c, "hello\n")
	bufio.NewReader(c).ReadString('\n')
	for _, info := range srv.Inspect(100) {
		fmt.Println(info.State, info.Queued, info.Peer.String() == c.LocalAddr().String())
	}
	// Output: open 0 true
}

// The kernel knows how a TCP connection does.
func ExampleTCPInfo() {
	srv := &server.Server{Events: server.Events{Data: echo}}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	io.WriteString(c, "hello\n")
	bufio.NewReader(c).ReadString('\n')
	for _, info := range srv.Inspect(100) {
		fmt.Println(info.TCP.State, info.TCP.BytesIn)
	}
	// Output: established 6
}

// Each listener counts what it accepts.
func ExampleListenerStats() {
	srv := &server.Server{Events: server.Events{Data: echo}}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	io.WriteString(c, "hello\n")
	bufio.NewReader(c).ReadString('\n')
	for _, l := range srv.ListenerStats() {
		fmt.Println(l.Accepted, l.Refused, l.Resting)
	}
	// Output: 1 0 false
}

// A server bounds the memory of all its connections together. A client that sends half a
// message, and more and more of it, loses its connection.
func ExampleMemoryPolicy() {
	closed := make(chan error, 1)
	srv := &server.Server{
		MaxInput:     64 << 20, // of one connection
		MaxMemory:    1 << 20,  // of all of them
		MemoryPolicy: server.EndLargest,
		Log:          slog.New(slog.DiscardHandler), // it says which connections have ended
		Events: server.Events{
			Data:   func(c *server.Conn) error { return nil }, // waits for the rest
			Closed: func(c *server.Conn, err error) { closed <- err },
		},
	}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	go c.Write(make([]byte, 8<<20))
	err := <-closed
	fmt.Println(errors.Is(err, server.ErrMemoryFull), err)
	// Output: true server: the memory for connections is full
}

// A proxy in front of the server announces the client's address.
func ExampleProxyProtocol() {
	srv := &server.Server{
		ProxyProtocol: &server.ProxyProtocol{}, // From: the addresses of the proxies
		Handler: func(s *server.Session) error {
			if _, err := s.ReadLine(); err != nil {
				return err
			}
			_, err := s.WriteLine("you are " + s.RemoteAddr().String())
			return err
		},
	}
	defer srv.Close()
	proxy := listenAt(srv)
	defer proxy.Close()
	io.WriteString(proxy, "PROXY TCP4 192.0.2.7 198.51.100.1 50000 80\r\n"+"hello\n")
	line, _ := bufio.NewReader(proxy).ReadString('\n')
	fmt.Print(line)
	// Output: you are 192.0.2.7:50000
}

// Each connection gets 1000 bytes at once, and then 10,000 bytes a second.
func ExampleRates() {
	srv := &server.Server{
		Rates:  server.Rates{Write: 10_000, WriteBurst: 1000},
		Events: server.Events{Data: echo},
	}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	begun := time.Now()
	c.Write(make([]byte, 3000))
	if _, err := io.ReadFull(c, make([]byte, 3000)); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the last byte came after 200 ms:", time.Since(begun) >= 200*time.Millisecond)
	// Output: the last byte came after 200 ms: true
}

// The watchdog tells which function has held up a loop.
func ExampleStall() {
	srv := &server.Server{StallAfter: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	srv.Events.Data = func(c *server.Conn) error {
		for len(srv.Stalls()) == 0 { // a callback must not wait like this
			time.Sleep(time.Millisecond)
		}
		return echo(c)
	}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	io.WriteString(c, "hello\n")
	bufio.NewReader(c).ReadString('\n')
	for _, stall := range srv.Stalls() {
		fmt.Println(strings.Contains(stall.Stack, "ExampleStall"))
	}
	// Output: true
}

// Timeouts bound what a client may take its time for: the first byte, the rest of a line,
// the next request.
func ExampleTimeouts() {
	ended := make(chan error, 1)
	srv := &server.Server{
		Timeouts: server.Timeouts{
			FirstByte: 10 * time.Second,
			Read:      10 * time.Second,
			Idle:      10 * time.Millisecond,
		},
		Handler: func(s *server.Session) error {
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			_, err = s.WriteLine(line)
			return err
		},
		Finish: func(s *server.Session, err error) { ended <- err },
	}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	io.WriteString(c, "hello\n") // and then nothing
	line, _ := bufio.NewReader(c).ReadString('\n')
	fmt.Print(line)
	fmt.Println(<-ended)
	// Output:
	// hello
	// server: the connection's idle timeout of 10ms is over
}
