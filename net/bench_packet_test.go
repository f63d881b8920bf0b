package net_test

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A packeter sends and receives datagrams in one of the ways in which programs do.
type packeter struct {
	send func(b []byte, to netip.AddrPort) error
	recv func(b []byte) error
}

var packeters = []struct {
	name string
	of   func(tb testing.TB, c udpConn, to netip.AddrPort) packeter
}{
	{"ReadFrom", func(_ testing.TB, c udpConn, _ netip.AddrPort) packeter {
		return packeter{
			func(b []byte, to netip.AddrPort) error { _, err := c.WriteToUDPAddrPort(b, to); return err },
			func(b []byte) error { _, _, err := c.ReadFromUDPAddrPort(b); return err },
		}
	}},
	{"ReadMsg", func(_ testing.TB, c udpConn, _ netip.AddrPort) packeter {
		oob := make([]byte, 64)
		return packeter{
			func(b []byte, to netip.AddrPort) error { _, _, err := c.WriteMsgUDPAddrPort(b, nil, to); return err },
			func(b []byte) error { _, _, _, _, err := c.ReadMsgUDPAddrPort(b, oob); return err },
		}
	}},
	// The program makes the system calls, as x/net and quic-go do.
	{"RawConn", func(tb testing.TB, c udpConn, to netip.AddrPort) packeter {
		raw, err := c.SyscallConn()
		if err != nil {
			tb.Fatal(err)
		}
		var failed error
		var buf []byte
		address := unix.Sockaddr(&unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
		write := func(fd uintptr) bool {
			failed = unix.Sendto(int(fd), buf, 0, address)
			return failed != unix.EAGAIN
		}
		var in []byte
		var failedIn error
		read := func(fd uintptr) bool {
			_, failedIn = unix.Read(int(fd), in)
			return failedIn != unix.EAGAIN
		}
		return packeter{
			func(b []byte, _ netip.AddrPort) error {
				buf = b
				if err := raw.Write(write); err != nil {
					return err
				}
				return failed
			},
			func(b []byte) error {
				in = b
				if err := raw.Read(read); err != nil {
					return err
				}
				return failedIn
			},
		}
	}},
}

// BenchmarkPackets measures, in each way, a datagram that is there already when it is
// read, and an echo between two goroutines, each of which waits for the other. cpu-ns/op
// is the time of the processor.
func BenchmarkPackets(b *testing.B) {
	for _, way := range packeters {
		for _, kind := range []string{"there", "echo"} {
			for _, f := range faces {
				b.Run(way.name+"/"+kind+"/"+f.name, func(b *testing.B) {
					open := func() (udpConn, netip.AddrPort) {
						c, err := f.ListenPacket("udp4", "127.0.0.1:0")
						if err != nil {
							b.Fatal(err)
						}
						b.Cleanup(func() { c.Close() })
						return c.(udpConn), c.LocalAddr().(*net.UDPAddr).AddrPort()
					}
					one, oneAt := open()
					two, twoAt := open()
					client, server := way.of(b, one, twoAt), way.of(b, two, oneAt)
					reader := server
					if kind == "echo" {
						reader = client
						done := make(chan struct{})
						b.Cleanup(func() { <-done })
						b.Cleanup(func() { two.Close() })
						go func() {
							defer close(done)
							buf := make([]byte, 128)
							for server.recv(buf) == nil && server.send(buf, oneAt) == nil {
							}
						}()
					}
					b.ReportAllocs()
					buf := make([]byte, 128)
					before := cpuTime()
					for b.Loop() {
						if err := client.send(buf, twoAt); err != nil {
							b.Fatal(err)
						}
						if err := reader.recv(buf); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
				})
			}
		}
	}
}

// cpuTime returns the processor time of the process, in nanoseconds.
func cpuTime() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return t.Nano()
}
