package socket_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// connected is a socket, and a peer that has sent something and closed.
func connected(sent string) *socket.Socket {
	s, peer, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := peer.WriteString(sent); err != nil {
		log.Fatal(err)
	}
	peer.Close()
	return s
}

func ExampleSocket_ReadLine() {
	s := connected("HTTP/1.0 200 OK\r\nServer: weir\r\n\r\n")
	defer s.Close()
	for {
		line, err := s.ReadLine()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q\n", line)
	}
	fmt.Println("end:", s.EOF())
	// Output:
	// "HTTP/1.0 200 OK"
	// "Server: weir"
	// ""
	// end: true
}

// The outcomes of reading a character are never confused.
func ExampleSocket_ReadRune() {
	s, peer, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	s.SetRecvTimeout(10 * time.Millisecond)
	peer.WriteString("5€\xFF")
	for range 5 {
		r, size, err := s.ReadRune()
		switch {
		case err == nil:
			fmt.Printf("%c, of %d bytes\n", r, size)
		case err == io.EOF:
			fmt.Println("the end")
		case errors.Is(err, unix.EILSEQ):
			fmt.Println("no UTF-8:", err)
		case errors.Is(err, os.ErrDeadlineExceeded):
			fmt.Println("the time is up")
			peer.Close()
		}
	}
	// Output:
	// 5, of 1 bytes
	// €, of 3 bytes
	// no UTF-8: read-char FF: invalid or incomplete multibyte or wide character
	// the time is up
	// the end
}

// A socket is an io.RuneScanner: package fmt reads from it, and no byte too
// many.
func ExampleSocket_UnreadRune() {
	s := connected("42 bytes follow")
	defer s.Close()
	var n int
	var unit string
	if _, err := fmt.Fscan(s, &n, &unit); err != nil {
		log.Fatal(err)
	}
	rest, err := s.ReadString()
	fmt.Printf("%d %s, then %q %v\n", n, unit, rest, err)
	// Output:
	// 42 bytes, then " follow" <nil>
}

// Fread takes what was read ahead; after ClearInput it asks the kernel.
func ExampleSocket_ClearInput() {
	s := connected("header\nbody")
	defer s.Close()
	line, _ := s.ReadLine()
	fmt.Println(line, s.Buffered())
	s.ClearInput()
	_, err := s.Fread(make([]byte, 10))
	fmt.Println(s.Buffered(), err)
	// Output:
	// header 4
	// 0 EOF
}
