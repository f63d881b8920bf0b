package oracle

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// meeting is a fixture with a socket and a peer "l", both bound and not connected.
func meeting(kinds ...kind) []fixture {
	return fixtures(func(w *world) {
		w.socks["s"] = w.open(w.local())
		w.face(0)
	}, kinds...)
}

// who returns the name of the socket or peer that has the address in the scenario.
func (w *world) who(addr string) string {
	if addr == "" {
		return "nobody"
	}
	w.mu.Lock()
	name, ok := w.names[addr]
	w.mu.Unlock()
	if ok {
		return name
	}
	if s := w.sock("s"); s != nil && s.fd() >= 0 {
		own := addrOf(nameOf(w.t, s.fd(), unix.Getsockname))
		if ip := own.AddrPort().Addr(); ip.IsUnspecified() {
			own = socket.AddrFrom(netip.AddrPortFrom(w.local().addr.AddrPort().Addr(), uint16(own.Port())))
		}
		if own.String() == addr {
			return "s"
		}
	}
	return addr
}

// The following steps are calls on the socket.

func recvFrom(n int, flags ...int) step { return recvFromBehind(0, n, flags...) }

// recvFromBehind is recvFrom that skips the first bytes of the data.
func recvFromBehind(skip, n int, flags ...int) step {
	f := or(flags)
	return step{name: fmt.Sprintf("recvfrom(%d%s)", n, flagNames(f)), call: func(w *world, s endpoint) outcome {
		buf := make([]byte, n)
		return timed(s, unix.SO_RCVTIMEO, f, func() string {
			got, from, errno := s.recvFrom(buf, f)
			text := received(buf[min(skip, got, n):min(got, n)], got, errno)
			if errno == 0 {
				text += " from " + w.who(from)
			}
			return text
		})
	}}
}

// sendTo sends to a peer by the text of its address. sendToAddr sends by the address.
func sendTo(peer, data string, flags ...int) step {
	return sendsTo("sendto", peer, data, or(flags), func(to target) target { return to })
}

func sendToAddr(peer, data string, flags ...int) step {
	return sendsTo("sendto addr", peer, data, or(flags), func(to target) target { to.host, to.service = "", ""; return to })
}

func sendsTo(name, peer, data string, flags int, form func(target) target) step {
	return step{name: fmt.Sprintf("%s(%s %q%s)", name, peer, data, flagNames(flags)), call: func(w *world, s endpoint) outcome {
		to := form(w.targetOf(peer))
		return timed(s, unix.SO_SNDTIMEO, flags, func() string {
			n, errno := s.sendTo([]byte(data), to, flags)
			if errno != 0 {
				return errnoName(errno)
			}
			return fmt.Sprint(n)
		})
	}}
}

func (w *world) targetOf(peer string) target {
	w.mu.Lock()
	defer w.mu.Unlock()
	to, ok := w.targets[peer]
	require.True(w.t, ok, peer)
	return to
}

// fillUpTo sends to a peer until the peer takes no more. It does not wait.
func fillUpTo(peer string) step {
	return step{name: "fill up " + peer, act: func(w *world, s endpoint) string {
		for range 10000 {
			if _, errno := s.sendTo([]byte("full"), w.targetOf(peer), unix.MSG_DONTWAIT); errno != 0 {
				require.Equal(w.t, unix.EAGAIN, errno)
				return ""
			}
		}
		return "never full"
	}}
}

// recverr makes the socket queue ICMP errors and report them, even if it is not
// connected.
func recverr() step {
	return step{name: "RECVERR", act: func(w *world, s endpoint) string {
		o := ipRecverr
		if w.kind.family == unix.AF_INET6 {
			o = ipv6Recverr
		}
		return errnoName(s.setOption(o, 1))[:0]
	}}
}

// The following steps are actions of peers.

// joins makes another peer with an address.
func joins(name string) step {
	return step{name: name + " joins", act: func(w *world, _ endpoint) string {
		p := w.plain()
		w.peers[name] = p
		require.NoError(w.t, unix.Bind(p.fd, w.local().sa))
		w.known(name, p.fd)
		return ""
	}}
}

// joinsUnnamed makes another peer without an address.
func joinsUnnamed(name string) step {
	return step{name: name + " joins", act: func(w *world, _ endpoint) string {
		w.peers[name] = w.plain()
		return ""
	}}
}

// writes sends to the socket.
func writes(name, data string) step {
	return byPeer(name, fmt.Sprintf("writes %q", data), func(w *world, p *peer) string {
		require.NoError(w.t, unix.Sendto(p.fd, []byte(data), 0, nameOf(w.t, w.sock("s").fd(), unix.Getsockname)))
		return ""
	})
}

// attaches connects the peer to the socket.
func attaches(name string) step {
	return byPeer(name, "attaches", func(w *world, p *peer) string {
		require.NoError(w.t, unix.Connect(p.fd, nameOf(w.t, w.sock("s").fd(), unix.Getsockname)))
		return ""
	})
}

// reads takes one datagram and names its sender.
func reads(name string, n int) step {
	return byPeer(name, fmt.Sprintf("reads %d", n), func(w *world, p *peer) string {
		p.await(unix.POLLIN)
		buf := make([]byte, n)
		got, from, err := unix.Recvfrom(p.fd, buf, 0)
		if err != nil {
			return name + " " + errnoName(err.(syscall.Errno))
		}
		return fmt.Sprintf("%s %s from %s", name, received(buf[:got], got, 0), w.who(addrOf(from).String()))
	})
}

// unblocks takes datagrams until no more arrive.
func unblocks(name string) step {
	return byPeer(name, "drains", func(w *world, p *peer) string {
		p.drain()
		time.Sleep(settling)
		return ""
	})
}

func ipPort(ip []byte, port int) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr, uint16(port))
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }
