package socket_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"strconv"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// listening returns a socket that accepts connections, and its port.
func listening() (s *socket.Socket, port string) {
	s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Listen(5); err != nil {
		log.Fatal(err)
	}
	return s, strconv.Itoa(s.LocalAddr().Port())
}

// A stream socket with a local address and a port that the kernel chooses.
func ExampleNew() {
	s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	fmt.Println(s.Family(), s.Type(), s.LocalAddr().Host(), s.LocalAddr().Port() > 0)
	// Output:
	// inet stream 127.0.0.1 true
}

func ExampleSocket_Close() {
	s, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Close())
	_, err = s.Send([]byte("x"), 0)
	fmt.Println(errors.Is(err, unix.EBADF), errors.Is(err, net.ErrClosed), s.EOF())
	// Output:
	// <nil>
	// true true true
}

func ExampleSocket_Listen() {
	s, err := socket.Config{Address: "127.0.0.1", ReuseAddress: true}.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Listen(5); err != nil {
		log.Fatal(err)
	}
	listens, err := s.Getsockopt(nil, "SO_ACCEPTCONN")
	fmt.Println(listens, err)
	// Output:
	// true <nil>
}

// The server has a goroutine for each connection, and bounds the time of each request.
func ExampleSocket_Accept() {
	listener, port := listening()
	defer listener.Close()
	listener.SetRecvTimeout(5 * time.Second) // accepted sockets inherit it
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the listener is closed, or no client came in time
			}
			go func() {
				defer conn.Close()
				line, err := conn.ReadLine()
				for ; err == nil; line, err = conn.ReadLine() {
					conn.WriteLine("you said " + line)
				}
			}()
		}
	}()

	client, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Connect("127.0.0.1", port); err != nil {
		log.Fatal(err)
	}
	client.WriteLine("hello")
	fmt.Println(client.ReadLine())
	// Output:
	// you said hello <nil>
}

// The send timeout bounds a connect and its look-up of names.
func ExampleSocket_Connect() {
	listener, port := listening()
	defer listener.Close()

	s, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	s.SetSendTimeout(5 * time.Second)
	if err := s.Connect("127.0.0.1", port); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.RemoteAddr() == listener.LocalAddr())
	err = s.Connect("127.0.0.1", port)
	fmt.Println(errors.Is(err, unix.EISCONN))
	// Output:
	// true
	// true
}

// A service may have a name. This service uses udp, so the example needs no server.
func ExampleSocket_Connect_service() {
	s, err := socket.New(socket.Inet, socket.Dgram, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Connect("127.0.0.1", "domain"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.RemoteAddr())
	// Output:
	// 127.0.0.1:53
}

// A connect that does not wait: Select reports its end.
func ExampleSocket_ConnectStart() {
	l, _ := listening()
	defer l.Close()
	s, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	done, err := s.ConnectStart(l.LocalAddr())
	for err == nil && !done {
		// Other sockets may stand in the same lists.
		var ready weir.Set[*socket.Socket]
		ready, err = weir.Select(nil, []*socket.Socket{s}, nil, 5*time.Second)
		if err == nil && len(ready.Write) == 0 {
			err = unix.ETIMEDOUT
		}
		if err == nil {
			done, err = s.ConnectFinish()
		}
	}
	fmt.Println(done, err, s.RemoteAddr() == l.LocalAddr())
	// Output:
	// true <nil> true
}
