package subjects

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

var rawSubject = Subject{
	Name:          "raw",
	About:         "a bare epoll loop on one thread, nothing around it: the floor",
	ServeEcho:     serveEchoRaw,
	ServePipeline: servePipelineRaw,
	ServeUDP:      serveUDPRaw,
}

// rawServer does what every runtime on epoll must do, and no more: one epoll_wait for a batch of
// events, then one read and one write for each.
type rawServer struct {
	listener int
	epoll    int
	conns    []*rawConn // by descriptor
	buf      []byte     // shared: a message never waits in it
	framed   bool       // answers frames; else echoes bytes
	out      []byte     // answers to frames
}

type rawConn struct {
	fd      int
	pending []byte // what the kernel did not take; nothing is read meanwhile
	frames  wire.Unframer
}

func serveEchoRaw(size int, ready func(addr string) error) error {
	return new(rawServer).listenAndServe(size, ready)
}

func servePipelineRaw(size int, ready func(addr string) error) error {
	return (&rawServer{framed: true}).listenAndServe(size, ready)
}

func (s *rawServer) listenAndServe(size int, ready func(addr string) error) error {
	runtime.LockOSThread()
	s.buf = make([]byte, max(size+1, 64<<10))
	addr, err := s.listen()
	if err != nil {
		return err
	}
	if err := ready(addr); err != nil {
		return err
	}
	return s.run()
}

func (s *rawServer) listen() (addr string, err error) {
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return "", os.NewSyscallError("epoll_create1", err)
	}
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return "", os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(s.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(s.listener, 4096); err != nil {
		return "", os.NewSyscallError("listen", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.listener)}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, s.listener, &event); err != nil {
		return "", os.NewSyscallError("epoll_ctl", err)
	}
	return localAddr(s.listener)
}

// localAddr returns the address and port that an IPv4 socket is bound to.
func localAddr(fd int) (string, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	in, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return "", errors.New("not an IPv4 socket")
	}
	return fmt.Sprintf("127.0.0.1:%d", in.Port), nil
}

func (s *rawServer) run() error {
	events := make([]unix.EpollEvent, 512)
	for {
		n, errno := wire.EpollWait(s.epoll, events, -1)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("epoll_pwait", errno)
		}
		for _, event := range events[:n] {
			if event.Fd == int32(s.listener) {
				if err := s.accept(); err != nil {
					return err
				}
				continue
			}
			s.serve(s.conns[event.Fd], event.Events)
		}
	}
}

func (s *rawServer) accept() error {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			return os.NewSyscallError("accept4", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}
		if fd >= len(s.conns) {
			s.conns = append(s.conns, make([]*rawConn, fd+1-len(s.conns))...)
		}
		s.conns[fd] = &rawConn{fd: fd}
		if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
}

// serve sends back what it receives. A short read has drained the socket, so serve does not read
// again, unless the peer has closed: then the end of the stream must still be read.
func (s *rawServer) serve(c *rawConn, events uint32) {
	for {
		if len(c.pending) > 0 && !s.send(c, c.pending) {
			return
		}
		n, errno := wire.Recv(c.fd, s.buf)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return
		case errno != 0 || n == 0:
			s.drop(c)
			return
		}
		answers := s.buf[:n]
		if s.framed {
			var err error
			if answers, err = c.frames.Answer(s.out[:0], answers); err != nil {
				s.drop(c)
				return
			}
			s.out = answers
		}
		if !s.send(c, answers) || n < len(s.buf) && events&unix.EPOLLRDHUP == 0 {
			return
		}
	}
}

// send reports whether all of p has left. It keeps the rest until the next OUT edge.
func (s *rawServer) send(c *rawConn, p []byte) bool {
	if len(p) == 0 {
		return true
	}
	n, errno := wire.Send(c.fd, p)
	for errno == unix.EINTR {
		n, errno = wire.Send(c.fd, p)
	}
	if errno != 0 {
		n = 0 // EAGAIN; after any other error the peer is gone, and HUP raises an edge
	}
	c.pending = append(c.pending[:0], p[n:]...)
	return len(c.pending) == 0
}

func (s *rawServer) drop(c *rawConn) {
	s.conns[c.fd] = nil
	unix.Close(c.fd) //nolint:errcheck // there is nobody to tell
}
