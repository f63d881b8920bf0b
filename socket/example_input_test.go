package socket_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// pair returns two connected sockets.
func pair() (a, b *socket.Socket) {
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	return a, b
}

// connected returns a socket whose peer has sent something and closed.
func connected(sent string) *socket.Socket {
	s, peer := pair()
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

// ReadChar returns different results for a character, an error, a timeout and the end.
func ExampleSocket_ReadRune() {
	s, peer := pair()
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

// A socket is an io.RuneScanner. Package fmt reads from it, and reads no byte too many.
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

// Fread returns the input that was read ahead. After ClearInput it asks the kernel.
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

// ReadString returns the buffered input with its newlines. The next call makes a system
// call.
func ExampleSocket_ReadString() {
	s, peer := pair()
	defer s.Close()
	defer peer.Close()
	peer.WriteString("key: value\nand more\n")
	line, _ := s.ReadLine()
	rest, err := s.ReadString()
	fmt.Printf("%q %q %v\n", line, rest, err)
	peer.WriteString("new")
	next, err := s.ReadString()
	fmt.Printf("%q %v\n", next, err)
	// Output:
	// "key: value" "and more\n" <nil>
	// "new" <nil>
}

// Fread returns the input that was read ahead, without a system call, and then the
// kernel's input.
func ExampleSocket_Fread() {
	s := connected("3 bytes\nabc")
	defer s.Close()
	line, _ := s.ReadLine()
	fmt.Println(line)
	buf := make([]byte, 64)
	for {
		n, err := s.Fread(buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q\n", buf[:n])
	}
	// Output:
	// 3 bytes
	// "abc"
}

func ExampleSocket_CharInBuffer() {
	s := connected("x")
	defer s.Close()
	s.ReadRune()
	fmt.Println(s.CharInBuffer())
	s.UnreadRune()
	fmt.Println(s.CharInBuffer())
	r, _, _ := s.ReadRune()
	fmt.Printf("%c %v\n", r, s.CharInBuffer())
	// Output:
	// false
	// true
	// x false
}

// The socket keeps the last character. A flag makes the socket return it again.
func ExampleSocket_SetCharInBuffer() {
	s := connected("xy")
	defer s.Close()
	s.ReadRune()
	s.SetCharInBuffer(true)
	all, _ := s.ReadString()
	fmt.Println(all)
	// Output:
	// xy
}

func ExampleSocket_EOF() {
	s, peer := pair()
	defer s.Close()
	s.SetRecvTimeout(time.Millisecond)
	_, err := s.ReadString()
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded), s.EOF()) // a timeout is not the end
	peer.Close()
	_, err = s.ReadString()
	fmt.Println(err, s.EOF())
	// Output:
	// true false
	// EOF true
}

func ExampleSocket_Dump() {
	s := connected("héllo")
	defer s.Close()
	s.SetRecvTimeout(10 * time.Second)
	s.ReadRune()
	var b strings.Builder
	s.Dump(&b)
	_, state, _ := strings.Cut(b.String(), "\n") // the first line has the descriptor
	fmt.Print(state)
	// Output:
	//   maxstring       4096
	//   maxline         1048576
	//   buffered        5
	//   memory held     4100
	//   char-in-buffer  false
	//   last character  U+0068 'h'
	//   eof             false
	//   SO_RCVTIMEO     10s
	//   SO_SNDTIMEO     0s
	// 00000000  c3 a9 6c 6c 6f                                    |..llo|
}
