package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
)

// listenAt starts a server on a free port, and returns a connected client.
func listenAt(srv *server.Server) net.Conn {
	addr, err := srv.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		log.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// Messages with a length in front: Data takes the messages that are complete, and leaves
// the rest unread. The server presents the rest again when more has arrived.
func ExampleConn_framing() {
	srv := &server.Server{Events: server.Events{
		Data: func(c *server.Conn) error {
			for {
				head := c.Peek(2)
				if head == nil {
					return nil // not even the length has arrived
				}
				n := int(binary.BigEndian.Uint16(head))
				if c.Buffered() < 2+n {
					return nil
				}
				c.Discard(2)
				fmt.Printf("a message of %d bytes: %q\n", n, c.Next(n))
				if _, err := c.WriteString("ok\n"); err != nil {
					return err
				}
			}
		},
	}}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	c.Write([]byte("\x00\x05hello\x00"))
	bufio.NewReader(c).ReadString('\n')
	c.Write([]byte("\x03you"))
	bufio.NewReader(c).ReadString('\n')
	// Output:
	// a message of 5 bytes: "hello"
	// a message of 3 bytes: "you"
}

// A blocking handler reads messages with a length in front from the session, which keeps
// what it has read ahead.
func ExampleSession_framing() {
	srv := &server.Server{Handler: func(s *server.Session) error {
		var head [2]byte
		if _, err := io.ReadFull(s, head[:]); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(s, body); err != nil {
			return err
		}
		_, err := s.WriteLine(fmt.Sprintf("%d bytes", len(body)))
		return err
	}}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	c.Write([]byte("\x00\x05hello\x00\x03you"))
	answers := bufio.NewScanner(c)
	for range 2 {
		answers.Scan()
		fmt.Println(answers.Text())
	}
	// Output:
	// 5 bytes
	// 3 bytes
}

// A session keeps state between the calls of the handler.
func ExampleSession() {
	srv := &server.Server{
		Begin: func(s *server.Session) error {
			s.User = 0
			_, err := s.WriteLine("what do you add?")
			return err
		},
		Handler: func(s *server.Session) error {
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			n := 0
			fmt.Sscan(line, &n)
			sum := s.User.(int) + n
			s.User = sum
			_, err = s.WriteLine(fmt.Sprint(sum))
			return err
		},
	}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	io.WriteString(c, "3\n4\n")
	answers := bufio.NewScanner(c)
	for range 3 {
		answers.Scan()
		fmt.Println(answers.Text())
	}
	// Output:
	// what do you add?
	// 3
	// 7
}

// A publisher writes the same bytes to all subscribers. A subscriber that does not keep up
// misses messages; the others do not wait for it.
func ExampleServer_Each() {
	joined := make(chan struct{}, 2)
	srv := &server.Server{Events: server.Events{
		Open: func(c *server.Conn) error { joined <- struct{}{}; return nil },
		Data: func(c *server.Conn) error { c.Next(-1); return nil },
	}}
	defer srv.Close()
	quick, slow := listenAt(srv), listenAt(srv)
	defer quick.Close()
	defer slow.Close()
	<-joined
	<-joined
	publish := func(message []byte) (missed int) {
		skipped := make(chan struct{}, 2)
		done := srv.Each(func(c *server.Conn) {
			if c.Queued() > 64<<10 {
				skipped <- struct{}{}
				return
			}
			// Nobody changes the message, so all connections share it.
			if err := c.WriteAsync(message, func(error) {}); err != nil {
				skipped <- struct{}{}
			}
		})
		<-done
		return len(skipped)
	}
	message := bytes.Repeat([]byte("x"), 1<<20)
	buf, missed := make([]byte, len(message)), 0
	for range 32 {
		missed += publish(message)
		if _, err := io.ReadFull(quick, buf); err != nil { // only one of the two reads
			log.Fatal(err)
		}
	}
	fmt.Println("the slow one has missed some:", missed > 0)
	// Output: the slow one has missed some: true
}

// What takes long runs on goroutines. While a job runs nothing is read from its client,
// so the answers stay in order, and a client that ends its stream gets all of them.
func ExampleConn_PauseRead() {
	type job struct {
		conn *server.Conn
		line string
	}
	jobs := make(chan job, 100)
	defer close(jobs)
	for range 4 {
		go func() {
			for j := range jobs {
				answer := fmt.Sprintf("%d characters\n", len(j.line)) // imagine that it takes long
				j.conn.WriteString(answer)
				j.conn.ResumeRead() // Data is called with what it has left
			}
		}()
	}
	srv := &server.Server{Events: server.Events{
		Data: func(c *server.Conn) error {
			i := bytes.IndexByte(c.Peek(-1), '\n')
			if i < 0 {
				return nil
			}
			j := job{c, string(c.Next(i + 1)[:i])}
			select {
			case jobs <- j:
				c.PauseRead()
				return nil
			default:
				return errors.New("too many jobs") // closes the connection
			}
		},
	}}
	defer srv.Close()
	c := listenAt(srv).(*net.TCPConn)
	defer c.Close()
	io.WriteString(c, "one\nthree\n")
	c.CloseWrite()
	answers, err := io.ReadAll(c)
	fmt.Printf("%s%v\n", answers, err)
	// Output:
	// 3 characters
	// 5 characters
	// <nil>
}

// A server of datagrams answers from the address that the client has asked, also later.
func ExamplePacketConn() {
	srv := &server.Server{Events: server.Events{
		Packet: func(l *server.PacketConn, p []byte, from socket.Addr) {
			answer, asked := bytes.ToUpper(p), l.AskedAddr()
			l.Loop().AfterFunc(time.Millisecond, func() { l.SendFrom(answer, asked, from) })
		},
	}}
	defer srv.Close()
	addr, err := srv.Listen("udp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(ask("udp", addr, "hello\n"))
	// Output: HELLO
}

// A client by callbacks: Dial serves the connection by the same Events.
func ExampleServer_Dial() {
	echo := &server.Server{Events: server.Events{
		Data: func(c *server.Conn) error { _, err := c.Write(c.Next(-1)); return err },
	}}
	defer echo.Close()
	addr, err := echo.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	closed := make(chan error, 1)
	client := &server.Server{Events: server.Events{
		Open: func(c *server.Conn) error { _, err := c.WriteString("hello\n"); return err },
		Data: func(c *server.Conn) error {
			if c.Buffered() == len("hello\n") {
				fmt.Printf("%s got %s", c.User, c.Next(-1))
				c.Close()
			}
			return nil
		},
		Closed: func(c *server.Conn, err error) { closed <- err },
	}}
	defer client.Close()
	if _, err := client.Dial(context.Background(), weirnet.Dialer{}, "tcp", addr.String(), "the client"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-closed)
	// Output:
	// the client got hello
	// <nil>
}

// A client that is silent for too long loses its connection. Closed says why.
func ExampleTimeoutError() {
	closed := make(chan error, 1)
	srv := &server.Server{
		Timeouts: server.Timeouts{FirstByte: 10 * time.Millisecond},
		Events: server.Events{
			Data:   func(c *server.Conn) error { c.Next(-1); return nil },
			Closed: func(c *server.Conn, err error) { closed <- err },
		},
	}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	err := <-closed
	var late *server.TimeoutError
	fmt.Println(errors.As(err, &late), late.Of, late.After, errors.Is(err, os.ErrDeadlineExceeded))
	// Output: true first byte 10ms true
}

// Every loop calls Tick. A program that wants one call makes it on the first loop.
func ExampleEvents_tick() {
	group, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close() // after the server
	ticked := make(chan struct{}, 1)
	srv := &server.Server{Group: group, Events: server.Events{
		Data: func(c *server.Conn) error { c.Next(-1); return nil },
		Tick: func(l *loop.Loop) {
			if l != group.Loops()[0] {
				return
			}
			select {
			case ticked <- struct{}{}:
			default:
			}
		},
		Every: time.Millisecond,
	}}
	defer srv.Close()
	if _, err := srv.Listen("tcp", "localhost:0"); err != nil {
		log.Fatal(err)
	}
	<-ticked
	fmt.Println("tick")
	// Output: tick
}

// Stats count what the server has done.
func ExampleStats() {
	srv := &server.Server{Events: server.Events{
		Open: func(c *server.Conn) error { _, err := c.WriteString("welcome\n"); return err },
		Data: func(c *server.Conn) error { c.Next(-1); return nil },
	}}
	defer srv.Close()
	c := listenAt(srv)
	defer c.Close()
	bufio.NewReader(c).ReadString('\n')
	stats := srv.Stats()
	fmt.Println(stats.Accepted, stats.Conns, stats.Panics)
	// Output: 1 1 0
}
