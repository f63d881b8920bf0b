package net_test

import (
	"io"
	"net"
	"testing"
	"time"
)

func benchOnFaces(b *testing.B, run func(b *testing.B, client, server net.Conn)) {
	for _, f := range faces {
		b.Run(f.name, func(b *testing.B) {
			l, err := f.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			client, err := f.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			server, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer server.Close()
			run(b, client, server)
		})
	}
}

// Each Read finds one byte.
func BenchmarkNetRead(b *testing.B) {
	benchOnFaces(b, func(b *testing.B, client, server net.Conn) { benchReads(b, client, server, func() {}) })
}

// The same with a deadline set once.
func BenchmarkNetReadUnderDeadline(b *testing.B) {
	benchOnFaces(b, func(b *testing.B, client, server net.Conn) {
		server.SetReadDeadline(time.Now().Add(time.Hour))
		benchReads(b, client, server, func() {})
	})
}

// The same with a deadline set before each read, as a server with an idle
// timeout does.
func BenchmarkNetReadDeadlineEach(b *testing.B) {
	benchOnFaces(b, func(b *testing.B, client, server net.Conn) {
		benchReads(b, client, server, func() { server.SetReadDeadline(time.Now().Add(time.Minute)) })
	})
}

func benchReads(b *testing.B, client, server net.Conn, before func()) {
	data := make([]byte, 32<<10)
	buf := make([]byte, 1)
	left := 0
	for b.Loop() {
		if left == 0 {
			b.StopTimer()
			if _, err := client.Write(data); err != nil {
				b.Fatal(err)
			}
			left = len(data)
			b.StartTimer()
		}
		before()
		if _, err := server.Read(buf); err != nil {
			b.Fatal(err)
		}
		left--
	}
}

// A message of 128 bytes there and back, on one connection.
func BenchmarkNetEcho(b *testing.B) {
	benchOnFaces(b, func(b *testing.B, client, server net.Conn) { benchEcho(b, client, server, func(net.Conn) {}) })
}

// The same with deadlines before each call.
func BenchmarkNetEchoDeadlines(b *testing.B) {
	benchOnFaces(b, func(b *testing.B, client, server net.Conn) {
		benchEcho(b, client, server, func(c net.Conn) { c.SetDeadline(time.Now().Add(time.Minute)) })
	})
}

func benchEcho(b *testing.B, client, server net.Conn, before func(net.Conn)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 128)
		for {
			before(server)
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 128)
	for b.Loop() {
		before(client)
		if _, err := client.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, buf); err != nil {
			b.Fatal(err)
		}
	}
	client.Close()
	<-done
}
