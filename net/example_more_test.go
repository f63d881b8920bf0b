package net_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"time"

	"github.com/seed-2334f180/weir/net"
)

// With the import "github.com/seed-2334f180/weir/net", a program for Go's net needs no
// other change.
func ExampleDial() {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "hello\n")
	switch c := c.(type) {
	case *net.TCPConn:
		c.CloseWrite()
	}
	echo, err := io.ReadAll(c)
	fmt.Printf("%s%v\n", echo, err)
	// Output:
	// hello
	// <nil>
}

// A server of datagrams with one goroutine.
func ExampleListenPacket() {
	server, err := net.ListenPacket("udp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			server.WriteTo(buf[:n], from)
		}
	}()
	c, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "hello")
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	fmt.Println(string(buf[:n]), err)
	// Output: hello <nil>
}

// STARTTLS: client and server speak in the clear, and then go on by TLS over the same
// connection. The server reads its plain commands byte by byte or by lines that it knows
// to be complete: a reader that reads ahead might take the first bytes of the handshake.
func Example_startTLS() {
	certificate, roots := selfSigned()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		line := make([]byte, len("STARTTLS\r\n"))
		if _, err := io.ReadFull(c, line); err != nil || string(line) != "STARTTLS\r\n" {
			return
		}
		io.WriteString(c, "220 go ahead\r\n")
		secured := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		fmt.Fprintf(secured, "secret\r\n") // makes the handshake first
		secured.Close()
	}()

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "STARTTLS\r\n")
	answer, err := bufio.NewReader(c).ReadString('\n') // the server sends no more before the handshake
	fmt.Printf("%q %v\n", answer, err)
	secured := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	answer, err = bufio.NewReader(secured).ReadString('\n')
	fmt.Printf("%q %v\n", answer, err)
	// Output:
	// "220 go ahead\r\n" <nil>
	// "secret\r\n" <nil>
}

// selfSigned makes a certificate for localhost.
func selfSigned() (tls.Certificate, *x509.CertPool) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		log.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, roots
}
