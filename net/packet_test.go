package net_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// udpConn has the methods that *net.UDPConn and *weirnet.UDPConn share, as far as the
// tests use them.
type udpConn interface {
	net.Conn
	net.PacketConn
	syscall.Conn
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
	ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error)
	WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error)
	WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error)
}

var (
	_ udpConn = (*net.UDPConn)(nil)
	_ udpConn = (*weirnet.UDPConn)(nil)
)

// This test sends and receives by every method, over both faces.
func TestPacketsOnBothFaces(t *testing.T) {
	for _, network := range []string{"udp", "udp4", "udp6"} {
		t.Run(network, func(t *testing.T) {
			onFaces(t, func(t *testing.T, f face) {
				p, err := f.ListenPacket(network, localAddress(t, network))
				require.NoError(t, err)
				defer p.Close()
				server := p.(udpConn)
				require.Nil(t, server.RemoteAddr())
				c, err := f.Dial(network, p.LocalAddr().String())
				require.NoError(t, err)
				defer c.Close()
				client := c.(udpConn)
				require.Equal(t, p.LocalAddr(), client.RemoteAddr())
				from := client.LocalAddr().(*net.UDPAddr)

				buf := make([]byte, 16)
				receive := map[string]func() (int, string){
					"ReadFrom": func() (int, string) { n, a, err := server.ReadFrom(buf); return n, a.String() + errText(err) },
					"AddrPort": func() (int, string) {
						n, a, err := server.ReadFromUDPAddrPort(buf)
						return n, a.String() + errText(err)
					},
					"ReadMsgUDP": func() (int, string) {
						n, _, _, a, err := server.ReadMsgUDP(buf, nil)
						return n, a.String() + errText(err)
					},
					"MsgAddrPort": func() (int, string) {
						n, _, _, a, err := server.ReadMsgUDPAddrPort(buf, nil)
						return n, a.String() + errText(err)
					},
				}
				for name, read := range receive {
					for _, text := range []string{"hello", ""} {
						_, err := client.Write([]byte(text))
						require.NoError(t, err)
						n, who := read()
						require.Equal(t, text, string(buf[:n]), name)
						require.Equal(t, from.String(), who, name)
					}
				}
				_, err = client.Write(nil)
				require.NoError(t, err)
				n, _, err := server.ReadFrom(nil)
				require.NoError(t, err)
				require.Zero(t, n)

				to := from.AddrPort()
				for name, send := range map[string]func() (int, error){
					"WriteTo":     func() (int, error) { return server.WriteTo([]byte("hello"), from) },
					"AddrPort":    func() (int, error) { return server.WriteToUDPAddrPort([]byte("hello"), to) },
					"WriteMsgUDP": func() (int, error) { n, _, err := server.WriteMsgUDP([]byte("hello"), nil, from); return n, err },
					"MsgAddrPort": func() (int, error) {
						n, _, err := server.WriteMsgUDPAddrPort([]byte("hello"), nil, to)
						return n, err
					},
				} {
					n, err := send()
					require.NoError(t, err, name)
					require.Equal(t, 5, n)
					n, err = client.Read(buf)
					require.NoError(t, err)
					require.Equal(t, "hello", string(buf[:n]), name)
				}
			})
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}

// Calls that fail return the errors that net returns.
func TestPacketErrorsAreThoseOfNet(t *testing.T) {
	four := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	for name, fail := range map[string]func(server, client udpConn) error{
		"read late": func(s, _ udpConn) error {
			s.SetReadDeadline(time.Now())
			_, _, err := s.ReadFrom(make([]byte, 1))
			return err
		},
		"read closed":        func(s, _ udpConn) error { s.Close(); _, _, err := s.ReadFrom(make([]byte, 1)); return err },
		"write closed":       func(s, _ udpConn) error { s.Close(); _, err := s.WriteTo([]byte("x"), four); return err },
		"write to connected": func(_, c udpConn) error { _, err := c.WriteTo([]byte("x"), four); return err },
		"message to connected": func(_, c udpConn) error {
			_, _, err := c.WriteMsgUDP([]byte("x"), nil, four)
			return err
		},
		"write unconnected": func(s, _ udpConn) error { _, err := s.Write([]byte("x")); return err },
		"too long":          func(_, c udpConn) error { _, err := c.Write(make([]byte, 1<<16)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var got [2]string
			for i, f := range faces {
				p, err := f.ListenPacket("udp4", "127.0.0.1:0")
				require.NoError(t, err)
				defer p.Close()
				c, err := f.Dial("udp4", p.LocalAddr().String())
				require.NoError(t, err)
				defer c.Close()
				err = fail(p.(udpConn), c.(udpConn))
				require.Error(t, err)
				got[i] = describe(err, c.LocalAddr(), p.LocalAddr())
			}
			require.Equal(t, got[0], got[1])
		})
	}
	p, err := weirnet.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer p.Close()
	for _, to := range []net.Addr{nil, (*net.UDPAddr)(nil), (*net.UnixAddr)(nil), &net.UnixAddr{Name: "/x", Net: "unixgram"}, &net.IPNet{}, &net.UDPAddr{IP: net.IPv6loopback, Port: 9}} {
		_, err := p.WriteTo([]byte("x"), to)
		require.Error(t, err, "%v", to)
	}
}

// A datagram socket of both families takes an IPv4 address in either form.
func TestPacketsOnBothFamilies(t *testing.T) {
	localAddress(t, "udp6")
	p, err := weirnet.ListenPacket("udp", ":0")
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, p.SetDeadline(time.Now().Add(time.Minute)))
	port := uint16(p.LocalAddr().(*net.UDPAddr).Port)
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(host), port)
		_, err := p.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(to))
		require.NoError(t, err)
		_, from, err := p.ReadFrom(make([]byte, 8))
		require.NoError(t, err)
		require.Equal(t, to.Addr().Unmap().String(), from.(*net.UDPAddr).AddrPort().Addr().Unmap().String())
	}
	require.Equal(t, 1, option(t, p, unix.SOL_SOCKET, unix.SO_BROADCAST))
}

// Both packages send and receive control messages alike. The message here is the local
// address to which the peer sent the datagram.
func TestPacketControlMessages(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		p, err := f.ListenPacket("udp4", "127.0.0.1:0")
		require.NoError(t, err)
		defer p.Close()
		server := p.(udpConn)
		raw, err := p.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			require.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
		}))
		c, err := f.Dial("udp4", p.LocalAddr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		oob := make([]byte, 128)
		n, oobn, _, from, err := server.ReadMsgUDP(make([]byte, 8), oob)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, unix.CmsgSpace(unix.SizeofInet4Pktinfo), oobn)
		n, oobn, err = server.WriteMsgUDP([]byte("back"), oob[:oobn], from)
		require.NoError(t, err)
		require.Equal(t, []int{4, unix.CmsgSpace(unix.SizeofInet4Pktinfo)}, []int{n, oobn})
	})
}

func TestPacketDeadlineWakes(t *testing.T) {
	p, err := weirnet.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer p.Close()
	result := make(chan error, 1)
	go func() { _, _, err := p.ReadFrom(make([]byte, 1)); result <- err }()
	require.NoError(t, p.SetReadDeadline(longAgo))
	require.ErrorIs(t, <-result, os.ErrDeadlineExceeded)
}

// Steady traffic allocates no memory for the addresses.
func TestPacketsByAddrPortAllocateNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	p, err := weirnet.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer p.Close()
	c := p.(*weirnet.UDPConn)
	self := c.LocalAddr().(*net.UDPAddr).AddrPort()
	buf := make([]byte, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := c.WriteToUDPAddrPort(buf, self); err != nil {
			t.Error(err)
		}
		if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
			t.Error(err)
		}
	}))
	oob := make([]byte, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, err := c.WriteMsgUDPAddrPort(buf, nil, self); err != nil {
			t.Error(err)
		}
		if _, _, _, _, err := c.ReadMsgUDPAddrPort(buf, oob); err != nil {
			t.Error(err)
		}
	}))
}

// WriteTo takes the addresses that net takes. It refuses others with the same error.
func TestWriteToAddressesOfOtherKinds(t *testing.T) {
	for network, at := range map[string]string{"udp": "127.0.0.1:0", "unixgram": ""} {
		for _, to := range []net.Addr{
			nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)},
			(*net.UDPAddr)(nil), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 70000},
			(*net.UnixAddr)(nil), &net.UnixAddr{Name: "@x", Net: "unix"}, &net.UnixAddr{Name: "/no/such/path", Net: "unixgram"},
			&net.UnixAddr{Name: string(make([]byte, 200)), Net: "unixgram"},
		} {
			var got [2]string
			for i, f := range faces {
				c, err := f.ListenPacket(network, at)
				require.NoError(t, err)
				_, err = c.WriteTo([]byte("x"), to)
				got[i] = describe(err, c.LocalAddr())
				c.Close()
			}
			require.Equal(t, got[0], got[1], "%s: %v", network, to)
		}
	}
}

// A closed connection still returns a RawConn. The calls of the RawConn fail, as those of
// net do.
func TestSyscallConnAfterClose(t *testing.T) {
	var got [2]string
	for i, f := range faces {
		c, err := f.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, c.Close())
		raw, err := c.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		for _, err := range []error{
			raw.Control(func(uintptr) {}),
			raw.Read(func(uintptr) bool { return true }),
			raw.Write(func(uintptr) bool { return true }),
		} {
			got[i] += describe(err, c.LocalAddr()) + "\n"
		}
	}
	require.Equal(t, got[0], got[1])
}

func TestPacketConnEmptyReadAfterClose(t *testing.T) {
	p, err := weirnet.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := p.(*weirnet.UDPConn)
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Fatalf("an empty Read: %d, %v", n, err)
	}
	c.Close()
	if _, err := c.Read(nil); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("an empty Read after Close: %v; want net.ErrClosed", err)
	}
}

// ReadMsg returns the counts and flags that net returns for a datagram that is cut, for
// descriptors, and for control messages without data on a stream.
func TestReadMsgReturnsWhatNetDoes(t *testing.T) {
	type unixConn interface {
		net.Conn
		ReadMsgUnix(b, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error)
		WriteMsgUnix(b, oob []byte, addr *net.UnixAddr) (n, oobn int, err error)
	}
	rights := unix.UnixRights(0)
	var got [2]string
	for i, f := range faces {
		p, err := f.ListenPacket("udp4", "127.0.0.1:0")
		require.NoError(t, err)
		u := p.(udpConn)
		for _, room := range []int{0, 4, 20} {
			_, err = u.WriteTo([]byte("0123456789"), u.LocalAddr())
			require.NoError(t, err)
			n, oobn, flags, addr, err := u.ReadMsgUDP(make([]byte, room), nil)
			got[i] += fmt.Sprintf("udp %d: %d %d %#x %v %v\n", room, n, oobn, flags, addr.IP, err)
		}
		p.Close()
		for _, network := range []string{"unix", "unixpacket", "unixgram"} {
			var a, b net.Conn
			if network == "unixgram" {
				at := localAddress(t, network)
				server, err := f.ListenPacket(network, at)
				require.NoError(t, err)
				b = server.(net.Conn)
				a, err = f.Dial(network, at)
				require.NoError(t, err)
			} else {
				l, err := f.Listen(network, localAddress(t, network))
				require.NoError(t, err)
				a, err = f.Dial(network, l.Addr().String())
				require.NoError(t, err)
				b, err = l.Accept()
				require.NoError(t, err)
				l.Close()
			}
			for _, text := range []string{"hello", ""} {
				n, oobn, err := a.(unixConn).WriteMsgUnix([]byte(text), rights, nil)
				got[i] += fmt.Sprintf("%s %q written: %d %d %v\n", network, text, n, oobn, errors.Is(err, net.ErrWriteToConnected))
				if err != nil { // a connected unixgram socket returns an error
					_, err = a.Write([]byte(text))
					require.NoError(t, err)
				}
				oob := make([]byte, 64)
				n, oobn, flags, addr, err := b.(unixConn).ReadMsgUnix(make([]byte, len(text)), oob)
				got[i] += fmt.Sprintf("%s %q read: %d %d %#x %v %v\n", network, text, n, oobn, flags, addr, err)
				messages, err := unix.ParseSocketControlMessage(oob[:oobn])
				require.NoError(t, err)
				for _, m := range messages {
					fds, err := unix.ParseUnixRights(&m)
					require.NoError(t, err)
					for _, fd := range fds {
						on, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
						require.NoError(t, err)
						require.Equal(t, unix.FD_CLOEXEC, on)
						require.NoError(t, unix.Close(fd))
					}
				}
			}
			a.Close()
			b.Close()
		}
	}
	require.Equal(t, got[0], got[1])
}
