package socket_test

import (
	"fmt"
	"io"
	"log"
	"strconv"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// datagrams returns a udp socket and its port.
func datagrams() (s *socket.Socket, port string) {
	s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Dgram, 0)
	if err != nil {
		log.Fatal(err)
	}
	return s, strconv.Itoa(s.LocalAddr().Port())
}

// Recv returns the input that is there. With MSG_WAITALL it waits until it has as much as
// the caller requests.
func ExampleSocket_Recv() {
	s := connected("a header, and a body")
	defer s.Close()
	buf := make([]byte, 64)
	n, err := s.Recv(buf[:8], unix.MSG_WAITALL)
	fmt.Printf("%q %v\n", buf[:n], err)
	n, err = s.Recv(buf, 0)
	fmt.Printf("%q %v\n", buf[:n], err)
	n, err = s.Recv(buf, 0)
	fmt.Println(n, err == io.EOF)
	// Output:
	// "a header" <nil>
	// ", and a body" <nil>
	// 0 true
}

// Send returns how many bytes it has sent. A later send finds that the peer has closed.
func ExampleSocket_Send() {
	s, peer := pair()
	defer s.Close()
	fmt.Println(s.Send([]byte("hello"), 0))
	peer.Close()
	fmt.Println(s.Send([]byte("hello"), 0))
	// Output:
	// 5 <nil>
	// 0 send: broken pipe
}

func ExampleSocket_SendTo() {
	s, _ := datagrams()
	defer s.Close()
	to, port := datagrams()
	defer to.Close()
	fmt.Println(s.SendTo([]byte("hello"), "127.0.0.1", port, 0))
	fmt.Println(to.ReadString())
	// Output:
	// 5 <nil>
	// hello <nil>
}

// RecvFrom returns the sender, which becomes the socket's remote address.
func ExampleSocket_RecvFrom() {
	s, port := datagrams()
	defer s.Close()
	client, _ := datagrams()
	defer client.Close()
	client.SendTo([]byte("ping"), "127.0.0.1", port, 0)

	buf := make([]byte, 1500)
	n, from, err := s.RecvFrom(buf, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q %v %v\n", buf[:n], from == client.LocalAddr(), s.RemoteAddr() == from)
	s.SendToAddr([]byte("pong"), from, 0)
	fmt.Println(client.ReadString())
	// Output:
	// "ping" true true
	// pong <nil>
}

// Fwrite sends the whole buffer, or the slice that the caller passes.
func ExampleSocket_Fwrite() {
	s, peer := pair()
	defer s.Close()
	defer peer.Close()
	buffer := []byte("all of it, or an error")
	n, err := s.Fwrite(buffer)
	fmt.Println(n == len(buffer), err)
	n, err = s.Fwrite(buffer[:3])
	fmt.Println(n, err)
	fmt.Println(peer.ReadString())
	// Output:
	// true <nil>
	// 3 <nil>
	// all of it, or an errorall <nil>
}

func ExampleSocket_WriteRune() {
	s, peer := pair()
	defer s.Close()
	defer peer.Close()
	fmt.Println(s.WriteRune(8364))
	fmt.Println(peer.ReadString())
	fmt.Println(s.WriteRune(0xD800))
	// Output:
	// 3 <nil>
	// € <nil>
	// 0 write-char 0xd800: invalid or incomplete multibyte or wide character (no Unicode character)
}

func ExampleSocket_WriteLine() {
	s, peer := pair()
	defer s.Close()
	defer peer.Close()
	fmt.Println(s.WriteLine("HEAD / HTTP/1.1"))
	str, err := peer.ReadString()
	fmt.Printf("%q %v\n", str, err)
	// Output:
	// 16 <nil>
	// "HEAD / HTTP/1.1\n" <nil>
}

func ExampleSocket_WriteString() {
	s, peer := pair()
	defer s.Close()
	defer peer.Close()
	fmt.Println(s.WriteString("HEAD / HTTP/1.1"))
	str, err := peer.ReadString()
	fmt.Printf("%q %v\n", str, err)
	// Output:
	// 15 <nil>
	// "HEAD / HTTP/1.1" <nil>
}
