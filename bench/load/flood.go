package load

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

// A Flood is what a server has to live with while bystanders ask it: connections that send
// without end, that ask for much output, or that only connect. Exactly one of Senders, Ordered
// and Clients is not zero.
type Flood struct {
	Senders int        // connections that send frames without an answer, as fast as the server reads
	Ordered wire.Order // one connection asks for so much again and again, and reads it after Delay
	Delay   time.Duration
	Clients int // so many clients connect at once, are closed, and connect again
}

// A flooder makes a Flood in a thread of its own. That thread runs only while nothing else wants
// its core, so that it does not keep the generator from reading the clock in time.
type flooder struct {
	Flood
	to       netip.AddrPort
	server   int // its process
	patience time.Duration
	moved    atomic.Int64 // bytes, or connections that the kernel has established
	fault    atomic.Pointer[error]
}

// bystanders are paced streams beside a flood.
type bystanders struct {
	*streams
	flooder *flooder
}

// openBystanders opens the connections as openPaced does, and then begins the flood. It returns
// when the flood moves.
func openBystanders(g *generator) (traffic, error) {
	t, err := openPaced(g)
	if err != nil || g.order.Flood == nil {
		return t, err
	}
	s := t.(*streams)
	f := &flooder{Flood: *g.order.Flood, to: s.to, server: g.order.ServerPID, patience: g.order.Patience}
	go func() {
		if err := f.run(); err != nil {
			f.fault.Store(&err)
		}
	}()
	for end := time.Now().Add(g.order.Patience); f.moved.Load() == 0; time.Sleep(time.Millisecond) {
		if fault := f.fault.Load(); fault != nil {
			return nil, *fault
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("the flood did not begin within %v", g.order.Patience)
		}
	}
	b := &bystanders{s, f}
	g.flooded = f.moved.Load
	return b, nil
}

// finish returns the error that has ended the flood, if one has.
func (b *bystanders) finish() error {
	if fault := b.flooder.fault.Load(); fault != nil {
		return *fault
	}
	return b.streams.finish()
}

// run floods until the process ends.
func (f *flooder) run() error {
	runtime.LockOSThread()
	// The errors only say that the flood has the priority of any thread.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
	switch {
	case f.Senders > 0:
		return f.send()
	case f.Clients > 0:
		return f.connectAll()
	}
	return f.drain()
}

// floodFrame is the size of a frame of a sender, in bytes. It is small, so that hardly a read
// ends with a frame that a server has to keep.
const floodFrame = 1 << 10

func (f *flooder) send() error {
	p := make([]byte, 64*floodFrame)
	for at := 0; at < len(p); at += floodFrame {
		wire.PutUnanswered(p[at : at+floodFrame])
	}
	type sender struct{ fd, at int }
	senders := make([]sender, f.Senders)
	poll := make([]unix.PollFd, f.Senders)
	for i := range senders {
		fd, err := f.connect(0, 0)
		if err != nil {
			return err
		}
		senders[i].fd = fd
		poll[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
	}
	for {
		for i := range senders {
			s := &senders[i]
			n, err := unix.SendmsgN(s.fd, p[s.at:], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			switch err {
			case nil:
				s.at = (s.at + n) % len(p)
				f.moved.Add(int64(n))
			case unix.EAGAIN, unix.EINTR:
			default:
				return os.NewSyscallError("send", err)
			}
		}
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

// drain reads what it has ordered. Before each delivery it waits, so that the server's queue
// grows.
func (f *flooder) drain() error {
	fd, err := f.connect(0, 0)
	if err != nil {
		return err
	}
	frame, in := wire.AppendOrder(nil, f.Ordered), make([]byte, 256<<10)
	for {
		if err := unix.Sendto(fd, frame, unix.MSG_NOSIGNAL, nil); err != nil {
			return os.NewSyscallError("send", err)
		}
		time.Sleep(f.Delay)
		for left := f.Ordered.Total; left > 0; {
			n, _, err := unix.Recvfrom(fd, in[:min(left, len(in))], 0)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return os.NewSyscallError("recv", err)
			}
			if n == 0 {
				return errClosedByServer
			}
			left -= n
			f.moved.Add(int64(n))
		}
	}
}

// wave bounds how long connectAll waits for the last of the clients. Where the backlog is full,
// the kernel drops a client's packet, and the client sends it again after a second.
const wave = 500 * time.Millisecond

// connectAll opens so many connections at once, waits until all are established, or for a wave,
// and closes them. It begins anew when the server has closed them, too.
func (f *flooder) connectAll() error {
	before, err := machine.OpenFiles(f.server)
	if err != nil {
		return err
	}
	fds := make([]int, f.Clients)
	poll := make([]unix.PollFd, f.Clients)
	for {
		for i := range fds {
			fd, err := f.connect(i, unix.SOCK_NONBLOCK)
			if err != nil {
				return fmt.Errorf("client %d of %d: %w", i+1, f.Clients, err)
			}
			fds[i], poll[i] = fd, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
		}
		done := 0
		for end := time.Now().Add(wave); time.Now().Before(end); time.Sleep(time.Millisecond) {
			n, err := unix.Poll(poll, 0)
			if err != nil && err != unix.EINTR {
				return os.NewSyscallError("poll", err)
			}
			f.moved.Add(int64(max(0, n-done)))
			if done = max(done, n); done == f.Clients {
				break
			}
		}
		for _, fd := range fds {
			unix.Close(fd) //nolint:errcheck // it is closed in any case
		}
		if err := filesFall(f.server, before, f.patience); err != nil {
			return err
		}
	}
}

// connect opens the connection with this index. With SOCK_NONBLOCK as its kind it does not wait.
func (f *flooder) connect(index, kind int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|kind, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// A connection that is closed does not stay in TIME_WAIT: see streams.connect.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return -1, os.NewSyscallError("setsockopt", err)
	}
	if err := bindSource(fd, index); err != nil {
		return -1, err
	}
	err = finishConnect(fd, &unix.SockaddrInet4{Port: int(f.to.Port()), Addr: f.to.Addr().As4()})
	if err == unix.EINPROGRESS && kind == unix.SOCK_NONBLOCK {
		err = nil
	}
	return fd, os.NewSyscallError("connect", err)
}
