package server_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inNamespace runs the rest of the test in a child process with a network namespace of its
// own: lo is up, and v0 and w0 are ends of two veth pairs. v0 has the address 192.0.2.1.
// inNamespace returns false in the parent. If the machine does not allow a namespace, it
// skips the test.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("WEIR_TEST_CHILD") == t.Name() {
		for _, command := range []string{
			"link set lo up", "link add v0 type veth peer name v1", "link set v0 up", "link set v1 up", "addr add 192.0.2.1/24 dev v0",
			"link add w0 type veth peer name w1", "link set w0 up", "link set w1 up",
		} {
			out, err := exec.Command("sh", "-c", "ip "+command).CombinedOutput()
			if err != nil {
				fmt.Printf("refused: ip %s: %s\n", command, out)
				os.Exit(3)
			}
		}
		return true
	}
	machine.NeedTool(t, "ip")
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "WEIR_TEST_CHILD="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	exit, ran := err.(*exec.ExitError)
	if err != nil && (!ran || exit.ExitCode() == 3) {
		t.Skipf("skipped: a network namespace with a veth pair: %v: %s", err, out)
	}
	require.NoError(t, err, "%s", out)
	return false
}

func inter(t *testing.T, name string) *net.Interface {
	t.Helper()
	ifi, err := net.InterfaceByName(name)
	require.NoError(t, err)
	return ifi
}

// packetServer serves datagrams at an address and sends their texts to the channel.
func packetServer(t *testing.T, network, address string) (*server.PacketConn, chan string) {
	got := make(chan string, 64)
	srv := &server.Server{Loops: 1, Events: server.Events{Packet: func(_ *server.PacketConn, p []byte, _ socket.Addr) { got <- string(p) }}}
	serveOn(t, srv, network, address)
	conns := srv.PacketConns()
	require.Len(t, conns, 1)
	return conns[0], got
}

// sendTo sends a datagram. It returns when the datagram has left, which it does at the end
// of the turn of the loop.
func sendTo(t *testing.T, p *server.PacketConn, text string, to netip.AddrPort) {
	t.Helper()
	for _, f := range []func(){func() { p.SendTo([]byte(text), socket.AddrFrom(to)) }, func() {}} {
		done := make(chan struct{})
		require.NoError(t, p.Loop().Post(func() { f(); close(done) }))
		weirtest.Take(t, done)
	}
}

// A socket receives the datagrams of a group from Join to Leave.
func TestMulticast(t *testing.T) {
	for _, c := range []struct{ name, network, address, group string }{
		{"IPv4", "udp4", "0.0.0.0:0", "239.1.2.3"},
		{"IPv4 on dual stack", "udp", "[::]:0", "239.1.2.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "IPv4" {
				machine.NeedIPv6(t)
			}
			group, lo := netip.MustParseAddr(c.group), inter(t, "lo")
			member, got := packetServer(t, c.network, c.address)
			sender, _ := packetServer(t, c.network, c.address)
			require.NoError(t, sender.SetMulticastInterface(lo))
			to := netip.AddrPortFrom(group, uint16(member.LocalAddr().Port()))

			require.NoError(t, member.Join(group, lo))
			require.ErrorIs(t, member.Join(group, lo), unix.EADDRINUSE)
			sendTo(t, sender, "one", to)
			require.Equal(t, "one", weirtest.Take(t, got))

			require.NoError(t, sender.SetMulticastTTL(0))
			sendTo(t, sender, "two", to)
			require.Equal(t, "two", weirtest.Take(t, got), "only this machine gets it")

			require.NoError(t, member.Leave(group, lo))
			require.ErrorIs(t, member.Leave(group, lo), unix.EADDRNOTAVAIL)
			sendTo(t, sender, "left", to)
			sendTo(t, sender, "unicast", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port()))
			require.Equal(t, "unicast", weirtest.Take(t, got), "and nothing else")
		})
	}
}

func TestMulticastRefusesWhatIsWrong(t *testing.T) {
	p, _ := packetServer(t, "udp4", "0.0.0.0:0")
	require.ErrorIs(t, p.Join(netip.MustParseAddr("127.0.0.1"), nil), unix.EINVAL)
	require.ErrorIs(t, p.Join(netip.Addr{}, nil), unix.EINVAL)
	require.ErrorIs(t, p.Join(netip.MustParseAddr("239.1.2.3"), &net.Interface{Index: 1 << 30}), unix.ENODEV)
	require.EqualError(t, p.SetMulticastTTL(256), "server: multicast TTL 256: it is from 0 to 255")
	require.NoError(t, p.SetMulticastTTL(255))
	require.NoError(t, p.Close())
	require.ErrorIs(t, p.Join(netip.MustParseAddr("239.1.2.3"), nil), net.ErrClosed)
	require.ErrorIs(t, p.SetMulticastLoop(true), net.ErrClosed)
}

// Each member gets only what comes by the interface of its Join, and the sender chooses
// the interface.
func TestMulticastByInterface(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, c := range []struct {
		network, group, from string
		interfaces           []string
	}{
		{"udp4", "239.1.2.3", "0.0.0.0:0", []string{"lo", "v0"}},
		{"udp6", "ff05::1:2:3", "[::]:0", []string{"v0"}},
	} {
		t.Run(c.network, func(t *testing.T) {
			if c.network == "udp6" {
				machine.NeedIPv6(t)
				for i, name := range []string{"v0", "w0"} { // link-local addresses are of no use for a second or two
					out, err := exec.Command("ip", "addr", "add", fmt.Sprintf("2001:db8:%d::1/64", i), "dev", name, "nodad").CombinedOutput()
					require.NoError(t, err, "%s", out)
				}
			}
			group, port := netip.MustParseAddr(c.group), uint16(0)
			var got []chan string
			for _, name := range c.interfaces {
				// Package net lets several sockets have a group's port.
				p, ch := packetServer(t, c.network, netip.AddrPortFrom(group, port).String())
				require.NoError(t, p.Join(group, inter(t, name)))
				port = uint16(p.LocalAddr().Port())
				got = append(got, ch)
			}
			// The bystander is bound to the group, and has joined another one.
			bystander, others := packetServer(t, c.network, netip.AddrPortFrom(group, port).String())
			require.NoError(t, bystander.Join(group.Next(), inter(t, "v0")))
			sender, _ := packetServer(t, c.network, c.from)
			to := netip.AddrPortFrom(group, port)
			for range 3 {
				require.NoError(t, sender.SetMulticastInterface(inter(t, "w0")))
				sendTo(t, sender, "nobody gets it", to)
				for i, name := range c.interfaces {
					require.NoError(t, sender.SetMulticastInterface(inter(t, name)))
					sendTo(t, sender, name, to)
					require.Equal(t, name, weirtest.Take(t, got[i]))
				}
			}
			// The last interface is v0, on which only this machine's own loop brings back
			// what was sent.
			require.NoError(t, sender.SetMulticastLoop(false))
			sendTo(t, sender, "not looped", to)
			require.NoError(t, sender.SetMulticastLoop(true))
			sendTo(t, sender, "looped", to)
			require.Equal(t, "looped", weirtest.Take(t, got[len(got)-1]))
			for range 3 {
				done := make(chan struct{})
				require.NoError(t, bystander.Loop().Post(func() { close(done) }))
				weirtest.Take(t, done)
			}
			require.Empty(t, others)
		})
	}
}

// A listener of a device accepts only what arrives at it. All of this machine's own
// connections arrive at lo.
func TestDevice(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveDevice := func(device string) socket.Addr {
		return serveOn(t, &server.Server{Device: device, Events: server.Events{Data: echo}}, "tcp4", "127.0.0.1:0")
	}
	peer := client(t, serveDevice("lo"))
	send(t, peer, "x")
	expect(t, peer, "x")
	_, err := net.DialTimeout("tcp4", serveDevice("v0").String(), time.Minute)
	require.ErrorIs(t, err, unix.ECONNREFUSED)

	packets := &server.Server{Device: "lo", Events: server.Events{Packet: echoPackets}}
	addr := serveOn(t, packets, "udp4", "127.0.0.1:0")
	c, err := net.Dial("udp4", addr.String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
	send(t, c, "y")
	expect(t, c, "y")
}

func TestDeviceThatIsNotThere(t *testing.T) {
	srv := &server.Server{Device: "none-such", Events: server.Events{Data: echo}}
	defer srv.Close()
	_, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.ErrorContains(t, err, "SO_BINDTODEVICE none-such")
	_, err = srv.Listen("unix", t.TempDir()+"/s")
	require.NoError(t, err, "a unix listener has no device")
}
