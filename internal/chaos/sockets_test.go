package chaos

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A sight is what the kernel and Weir know of a TCP socket at one moment.
type sight struct {
	owner       string // the service, or what else has the loop
	local, peer string
	weir        string // Weir's registration, with its state word
	served      string // what the server says of its connection, or ""
	reads       bool   // a call of Weir waits to read, or the server wants input
	writes      bool   // a call of Weir waits to write
	unready     bool   // Weir knows of no event for reading
	events      int16  // of poll(2)
	in, out     int    // SIOCINQ, SIOCOUTQ: bytes
	peeked      string // what a read without waiting gives
	info        unix.TCPInfo
}

// loops returns all loops by what they serve.
func (o *lookout) loops() map[*loop.Loop]string {
	all := make(map[*loop.Loop]string)
	if g, err := loop.Default(); err == nil {
		for _, l := range g.Loops() {
			all[l] = "the default group"
		}
	}
	for _, s := range o.services {
		if s.group == nil {
			continue
		}
		for _, l := range s.group.Loops() {
			all[l] = s.name
		}
	}
	return all
}

// sights looks at every TCP socket on a loop.
func (o *lookout) sights() map[*loop.Registration]sight {
	served := make(map[string]string)
	for _, s := range o.services {
		if s.server == nil {
			continue
		}
		for _, c := range s.server.Inspect(1000) {
			served[c.Local.String()+" "+c.Peer.String()] = fmt.Sprintf("%s, %d bytes queued", c.State, c.Queued)
		}
	}
	all := make(map[*loop.Registration]sight)
	for l, owner := range o.loops() {
		for _, r := range l.Registrations() {
			if x, ok := see(r); ok {
				x.owner, x.served = owner, served[x.local+" "+x.peer]
				// An idle Session whose event has come waits for its goroutine to run, and
				// not for the loop.
				x.reads = x.reads || strings.HasPrefix(x.served, "open,") || strings.HasPrefix(x.served, "idle,") && x.unready
				all[r] = x
			}
		}
	}
	return all
}

// see looks at the socket of a registration. It returns false if that is closed, or is not
// of TCP.
func see(r *loop.Registration) (x sight, ok bool) {
	if r.Use() != nil {
		return x, false
	}
	defer r.Done()
	fd := r.FD()
	// What waits is read first: a call that is woken later is not taken for one that waits.
	x.weir, x.reads, x.writes = r.String(), r.Waits(loop.Read), r.Waits(loop.Write)
	x.unready = r.Look(loop.Readable) == loop.Unready
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return x, false
	}
	x.info = *info
	x.local, x.peer = name(unix.Getsockname(fd)), name(unix.Getpeername(fd))
	x.in, _ = unix.IoctlGetInt(fd, unix.SIOCINQ)
	x.out, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLPRI | unix.POLLOUT | unix.POLLRDHUP}}
	unix.Poll(fds, 0)
	x.events = fds[0].Revents
	n, _, err := unix.Recvfrom(fd, make([]byte, 64<<10), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	x.peeked = fmt.Sprintf("%d bytes", n)
	if err != nil {
		x.peeked = err.Error()
	}
	return x, true
}

func name(a unix.Sockaddr, err error) string {
	in, ok := a.(*unix.SockaddrInet4)
	if err != nil || !ok {
		return "nobody"
	}
	return fmt.Sprintf("%d.%d.%d.%d:%d", in.Addr[0], in.Addr[1], in.Addr[2], in.Addr[3], in.Port)
}

// ignores reports whether Weir waits for what the kernel has.
func (x sight) ignores() bool {
	return x.reads && x.events&(unix.POLLIN|unix.POLLRDHUP|unix.POLLERR|unix.POLLHUP) != 0 ||
		x.writes && x.events&(unix.POLLOUT|unix.POLLERR|unix.POLLHUP) != 0
}

// still reports whether nothing has happened between two looks at a socket. The state word
// has the time at which the last call ended.
func (x sight) still(earlier sight) bool {
	taken := func(x sight) uint64 { return x.info.Bytes_received - uint64(x.in) }
	given := func(x sight) uint64 { return x.info.Bytes_acked + uint64(x.out) }
	return x.weir == earlier.weir && x.served == earlier.served && taken(x) == taken(earlier) && given(x) == given(earlier)
}

// String describes the sight in a few lines.
func (x sight) String() string {
	i := &x.info
	ms := func(micros uint32) time.Duration { return time.Duration(micros) * time.Microsecond }
	return fmt.Sprintf(`%s: %s to %s: %s %s
    waits to read %t, to write %t; poll %#x, in %d, out %d, a read gives %s
    state %d, ca %d, retransmits %d, probes %d, backoff %d, rto %v, rtt %v, unacked %d, lost %d, sacked %d, retrans %d, total retrans %d, cwnd %d, ssthresh %d, notsent %d, peer's window %d
    last data sent %d ms, received %d ms, ack received %d ms ago; pacing %d B/s, delivery %d B/s, received %d, acked %d`,
		x.owner, x.local, x.peer, x.weir, x.served, x.reads, x.writes, x.events, x.in, x.out, x.peeked,
		i.State, i.Ca_state, i.Retransmits, i.Probes, i.Backoff, ms(i.Rto), ms(i.Rtt), i.Unacked, i.Lost, i.Sacked, i.Retrans, i.Total_retrans,
		i.Snd_cwnd, i.Snd_ssthresh, i.Notsent_bytes, i.Snd_wnd,
		i.Last_data_sent, i.Last_data_recv, i.Last_ack_recv, i.Pacing_rate, i.Delivery_rate, i.Bytes_received, i.Bytes_acked)
}

// describe describes all TCP sockets, and those that the program has closed and the kernel
// has not: it still sends what they had to send.
func (o *lookout) describe() string {
	var b strings.Builder
	for _, x := range o.sights() {
		fmt.Fprintln(&b, x)
	}
	if o.bridge == nil {
		return b.String()
	}
	for _, n := range []*Namespace{o.bridge.A, o.bridge.B} {
		n.Do(func() {
			all, _ := os.ReadFile("/proc/thread-self/net/tcp")
			for line := range strings.Lines(string(all)) {
				const inode = 9
				if fields := strings.Fields(line); len(fields) > inode && (fields[inode] == "0" || fields[0] == "sl") {
					b.WriteString("closed: " + line)
				}
			}
		})
	}
	return b.String()
}

// turns is for how many turns of its loop a call must ignore what the kernel has. An event
// that the kernel reports reaches the call in the first full turn.
const turns = 3

// lost describes the sockets on which a call waits for what the kernel has, although the
// loop has asked the kernel since. It returns "" if there is none, as always when Weir works.
// A slow machine makes no difference, since lost counts turns, and not time.
func (o *lookout) lost() string {
	suspects := o.sights()
	for range turns {
		for r, x := range suspects {
			if !x.ignores() {
				delete(suspects, r)
			}
		}
		if len(suspects) == 0 {
			return ""
		}
		for r := range suspects {
			turned(r.Loop())
		}
		now := o.sights()
		for r, x := range suspects {
			if y, ok := now[r]; ok && y.ignores() && y.still(x) {
				continue
			}
			delete(suspects, r)
		}
	}
	var b strings.Builder
	for _, x := range suspects {
		fmt.Fprintln(&b, x)
	}
	return b.String()
}

// turned waits until the loop has asked the kernel for events and handed them out.
func turned(l *loop.Loop) {
	for range 2 { // the first task may run in a turn that has begun
		done := make(chan struct{})
		if l.Post(func() { close(done) }) != nil {
			return // the loop is closed
		}
		<-done
	}
}
