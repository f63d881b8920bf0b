package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
)

// An echo server with callbacks. The callbacks run on the event loop, so they must not
// block.
func ExampleServer() {
	srv := &server.Server{Events: server.Events{
		Data: func(c *server.Conn) error {
			_, err := c.Write(c.Next(-1)) // all input that has arrived
			return err
		},
	}}
	defer srv.Close()
	addr, err := srv.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(ask("tcp", addr, "hello\n"))
	// Output: hello
}

// An echo server with a blocking handler. Each call serves one line of one client.
// Between the calls a connection has no goroutine.
func ExampleServer_handler() {
	srv := &server.Server{Handler: func(s *server.Session) error {
		line, err := s.ReadLine()
		if err != nil {
			return err // io.EOF at the end of the stream
		}
		_, err = s.WriteLine(line)
		return err
	}}
	defer srv.Close()
	addr, err := srv.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(ask("tcp", addr, "hello\n"))
	// Output: hello
}

// This server answers datagrams.
func ExampleServer_datagrams() {
	srv := &server.Server{Events: server.Events{
		Packet: func(l *server.PacketConn, p []byte, from socket.Addr) {
			l.SendTo(p, from)
		},
	}}
	defer srv.Close()
	addr, err := srv.Listen("udp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(ask("udp", addr, "hello\n"))
	// Output: hello
}

// Shutdown serves what the clients have sent before it closes the connections.
func ExampleServer_Shutdown() {
	srv := &server.Server{Events: server.Events{
		Open: func(c *server.Conn) error { _, err := c.WriteString("welcome\n"); return err },
		Data: func(c *server.Conn) error { c.Next(-1); return nil },
	}}
	addr, err := srv.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(ask("tcp", addr, ""))
	fmt.Println(srv.Shutdown(context.Background()))
	fmt.Println(srv.Wait())
	// Output:
	// welcome
	// <nil>
	// server: the server is closed
}

// ask sends a request to a server and returns a line of the answer.
func ask(network string, to socket.Addr, request string) string {
	c, err := net.Dial(network, to.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(request)); err != nil {
		log.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	return line
}

// One server serves two protocols: callbacks on one listener, and a blocking handler that
// greets its clients on the other.
func ExampleService() {
	srv := &server.Server{Events: server.Events{
		Data: func(c *server.Conn) error { _, err := c.Write(c.Next(-1)); return err },
	}}
	defer srv.Close()
	echo, err := srv.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	counting, err := srv.ListenService("tcp", "localhost:0", &server.Service{
		Begin: func(s *server.Session) error {
			s.User = new(int) // from here on until Finish
			return nil
		},
		Handler: func(s *server.Session) error {
			if _, err := s.ReadLine(); err != nil {
				return err
			}
			n := s.User.(*int)
			*n++
			_, err := s.WriteLine(fmt.Sprint("request ", *n))
			return err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(ask("tcp", echo, "hello\n"))
	fmt.Print(ask("tcp", counting, "hello\n"))
	// Output:
	// hello
	// request 1
}

// An echo server with TLS. With Events or a Handler, the program is the same as without.
func ExampleServer_tls() {
	certificate := identity() // as tls.LoadX509KeyPair returns it
	srv := &server.Server{
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"echo"}},
		Events: server.Events{
			Open: func(c *server.Conn) error {
				state, _ := c.TLS()
				_, err := fmt.Fprintln(c, "welcome to", state.ServerName, "by", state.NegotiatedProtocol)
				return err
			},
			Data: func(c *server.Conn) error {
				_, err := c.Write(c.Next(-1))
				return err
			},
		},
	}
	defer srv.Close()
	addr, err := srv.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	c, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"echo"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, "hello")
	lines := bufio.NewScanner(c)
	for range 2 {
		lines.Scan()
		fmt.Println(lines.Text())
	}
	// Output:
	// welcome to localhost by echo
	// hello
}

// A blocking handler with TLS. Code that takes a net.Conn gets a *tls.Conn.
func ExampleSession_Conn() {
	srv := &server.Server{
		TLS: &tls.Config{Certificates: []tls.Certificate{identity()}},
		Handler: func(s *server.Session) error {
			conn := s.Conn()
			request := make([]byte, 6)
			if _, err := io.ReadFull(conn, request); err != nil {
				return err
			}
			_, isTLS := conn.(*tls.Conn)
			_, err := fmt.Fprintf(conn, "%q, TLS: %v\n", request, isTLS)
			return err
		},
	}
	defer srv.Close()
	addr, err := srv.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	c, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "hello\n")
	line, _ := bufio.NewReader(c).ReadString('\n')
	fmt.Print(line)
	// Output: "hello\n", TLS: true
}
