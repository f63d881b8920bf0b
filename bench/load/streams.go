package load

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

// Over TCP, each connection has one burst of messages in flight.

type streams struct {
	*generator
	*exchange
	to    netip.AddrPort
	conns []stream
	due   []*stream // these have their answers; flush sends their next bursts
	in    []byte    // one byte longer than a burst, to notice an answer that is too long
	churn bool      // a connection ends with its first answer, and a new one replaces it
	files int       // descriptors that the server had at first (churn)
}

type stream struct {
	fd      int
	index   int
	seq     uint32        // of the burst in flight
	sent    int           // bytes of it
	got     int           // bytes of it that came back
	started time.Duration // when the burst was sent, or was due (paced), or the connection began (churn)

	// With a pace:
	request int64 // number of the next request
	busy    bool  // one is in flight
	behind  int64 // requests that were due meanwhile
}

// openStreams opens the connections. Before it returns, each has had an answer.
func openStreams(g *generator) (traffic, error) {
	s, err := newStreams(g)
	if err != nil {
		return nil, err
	}
	g.traffic = s
	for i := range s.conns {
		c := &s.conns[i]
		if c.fd, err = s.connect(i); err == nil {
			err = s.watch(c.fd, i, true)
		}
		if err != nil {
			return nil, fmt.Errorf("connection %d of %d: %w", i+1, len(s.conns), err)
		}
		if err := s.begin(c); err != nil {
			return nil, err
		}
		if (i+1)%openGroup == 0 || i+1 == len(s.conns) {
			g.readClock()
			if err := g.drain(); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// openChurn opens no connection: start does.
func openChurn(g *generator) (traffic, error) {
	s, err := newStreams(g)
	if err != nil {
		return nil, err
	}
	s.churn = true
	s.files, err = machine.OpenFiles(g.order.ServerPID)
	return s, err
}

func newStreams(g *generator) (*streams, error) {
	to, err := netip.ParseAddrPort(g.order.Addr)
	if err != nil {
		return nil, err
	}
	s := &streams{
		generator: g,
		exchange:  newExchange(g.order.Size, g.order.Burst, g.order.Framed),
		to:        to,
		conns:     make([]stream, g.order.Conns),
		in:        make([]byte, g.order.Size*g.order.Burst+1),
	}
	for i := range s.conns {
		s.conns[i].index = i
	}
	return s, nil
}

// connect opens a connection, and waits until it is established; with churn it does not wait.
func (s *streams) connect(index int) (int, error) {
	kind := unix.SOCK_STREAM | unix.SOCK_CLOEXEC
	if s.churn {
		kind |= unix.SOCK_NONBLOCK
	}
	fd, err := unix.Socket(unix.AF_INET, kind, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// With this option a closed connection does not stay in TIME_WAIT. Otherwise a few rounds of
	// many connections would use up the ports.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return fd, os.NewSyscallError("setsockopt", err)
	}
	to := &unix.SockaddrInet4{Port: int(s.to.Port()), Addr: s.to.Addr().As4()}
	if s.churn {
		if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
			return fd, os.NewSyscallError("connect", err)
		}
		return fd, nil
	}
	if err := bindSource(fd, index); err != nil {
		return fd, err
	}
	// A send timeout bounds connect as well.
	patience := unix.NsecToTimeval(int64(s.order.Patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		return fd, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fd, os.NewSyscallError("setsockopt", err)
	}
	if err := finishConnect(fd, to); err != nil {
		return fd, os.NewSyscallError("connect", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return fd, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// finishConnect connects a blocking socket. Go's runtime sends signals to its threads, and a
// signal ends a connect that has a timeout; the next call waits on.
func finishConnect(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	for err == unix.EINTR {
		err = unix.Connect(fd, to)
		if err == unix.EISCONN {
			return nil
		}
	}
	return err
}

// bindSource gives every 8,192 connections a loopback address of their own to come from. One
// address has about 28,000 ports, and the kernel gets slow at finding a free one before all are
// used.
func bindSource(fd, index int) error {
	const each = 8192
	if index < each {
		return nil // the kernel chooses 127.0.0.1
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + index/each)}}
	return os.NewSyscallError("bind", unix.Bind(fd, from))
}

func (s *streams) start() error {
	if s.pace != nil {
		s.pace.start()
		return nil
	}
	for i := range s.conns {
		if err := s.begin(&s.conns[i]); err != nil {
			return err
		}
	}
	return nil
}

// begin sends a new burst; with churn, on a new connection.
func (s *streams) begin(c *stream) (err error) {
	c.seq++
	c.sent, c.got, c.started = 0, 0, s.generator.sent()
	if s.pace != nil {
		c.started = s.pace.due(c)
	}
	if s.churn {
		if c.fd, err = s.connect(c.index); err != nil {
			return fmt.Errorf("connection %d, number %d: %w", c.index, c.seq, err)
		}
		// Over loopback the connection is mostly established by now, and takes the message.
	}
	if err = s.write(c); err == nil && s.churn {
		err = s.watch(c.fd, c.index, c.sent < len(s.send))
	}
	return c.failed(err)
}

// write writes what the kernel takes of the burst; the rest follows on the next OUT edge.
func (s *streams) write(c *stream) error {
	s.stamp(c.index, c.seq)
	for {
		n, errno := wire.Send(c.fd, s.send[c.sent:])
		switch errno {
		case 0:
			c.sent += n
			return nil
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return os.NewSyscallError("send", errno)
		}
	}
}

func (s *streams) ready(number int) error {
	c := &s.conns[number]
	return c.failed(s.transfer(c))
}

func (c *stream) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("connection %d, message %d: %w", c.index, c.seq, err)
}

// transfer writes what is left of the burst, and reads once. One read is enough: the buffer is
// longer than the expected answer, so a correct answer never fills it, and later input raises a
// new edge.
func (s *streams) transfer(c *stream) error {
	if c.sent < len(s.send) {
		if err := s.write(c); err != nil {
			return err
		}
	}
	n, errno := wire.Recv(c.fd, s.in)
	for errno == unix.EINTR {
		n, errno = wire.Recv(c.fd, s.in)
	}
	switch {
	case errno == unix.EAGAIN:
		return nil
	case errno != 0:
		return os.NewSyscallError("recv", errno)
	case n == 0:
		return errClosedByServer
	case c.got+n > c.sent:
		return fmt.Errorf("%d bytes came back of %d that were sent", c.got+n, c.sent)
	}
	s.stamp(c.index, c.seq)
	if err := s.check(c.got, s.in[:n]); err != nil {
		return err
	}
	c.got += n
	if c.got < len(s.send) {
		return nil
	}
	if s.churn {
		if err := unix.Close(c.fd); err != nil {
			return os.NewSyscallError("close", err)
		}
	}
	if err := s.answered(c.started, s.order.Burst); err != nil {
		return err
	}
	if !s.stopping && (s.pace == nil || s.pace.next(c)) {
		s.due = append(s.due, c)
	}
	return nil
}

// flush sends the next bursts.
func (s *streams) flush() error {
	for _, c := range s.due {
		// Each burst gets its own time of sending: the first leaves long before the last.
		s.readClock()
		if err := s.begin(c); err != nil {
			return err
		}
	}
	s.due = s.due[:0]
	return nil
}

// finish waits until the server has closed the connections that the generator closed (churn).
func (s *streams) finish() error {
	if !s.churn {
		return nil
	}
	return filesFall(s.order.ServerPID, s.files, s.order.Patience)
}

// filesFall waits until a server has as many descriptors as before. The error tells how many it
// has not closed in time.
func filesFall(server, before int, patience time.Duration) error {
	const (
		pause = 5 * time.Millisecond
		late  = 8 // descriptors that a runtime may open for itself with the first connections
	)
	var left int
	for range patience / pause {
		n, err := machine.OpenFiles(server)
		if err != nil {
			return err
		}
		if left = n - before; left <= late {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("within %v the server did not close %d of the descriptors that it opened", patience, left)
}
