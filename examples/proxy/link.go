package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A link is a client, a server, and what goes between them.
type link struct {
	client, server *socket.Socket
	idle           time.Duration // 0 is none
	broken         sync.Once
	why            error // the first failure
}

// relay passes on what both sides send, until both have ended their side. It
// closes the two sockets, and resets them if something fails: an answer that was
// cut short must not look like a whole one.
func (l *link) relay() error {
	err := errors.Join(
		l.client.SetRecvTimeout(l.idle), l.client.SetSendTimeout(l.idle),
		l.server.SetRecvTimeout(l.idle), l.server.SetSendTimeout(l.idle))
	if err != nil {
		l.fail(err)
	}
	var upward sync.WaitGroup
	upward.Go(func() { l.pump(l.server, l.client) })
	l.pump(l.client, l.server)
	upward.Wait()
	// Both have been told the end, after all the bytes. This loses nothing.
	l.client.Close()
	l.server.Close()
	l.broken.Do(func() {}) // too late to break
	return l.why
}

// pump passes one direction on, and then its end.
func (l *link) pump(to, from *socket.Socket) {
	for {
		_, err := to.ReadFrom(from)
		switch {
		case err == nil:
			if err = to.Shutdown(unix.SHUT_WR); err != nil {
				l.fail(err)
			}
			return
		case !errors.Is(err, os.ErrDeadlineExceeded):
			l.fail(err)
			return
		case errors.As(err, new(*socket.UnsentError)):
			l.fail(fmt.Errorf("%v reads nothing: %w", to.RemoteAddr(), err))
			return
		}
		// Nothing has come this way for a while. That is idleness only if
		// nothing has come the other way, either.
		quiet, err := l.quiet()
		if err == nil && quiet >= l.idle {
			err = fmt.Errorf("idle for %v", l.idle)
		}
		if err == nil {
			err = from.SetRecvTimeout(max(l.idle-quiet, time.Millisecond))
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// quiet is for how long nothing has come from either side, as the kernel knows:
// bytes that are spliced are not seen here.
func (l *link) quiet() (time.Duration, error) {
	client, err1 := sinceData(l.client)
	server, err2 := sinceData(l.server)
	return min(client, server), errors.Join(err1, err2)
}

func sinceData(s *socket.Socket) (time.Duration, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	closed := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err = errors.Join(closed, err); err != nil {
		return 0, err
	}
	return time.Duration(info.Last_data_recv) * time.Millisecond, nil
}

// fail notes why the link broke, and ends the other direction.
func (l *link) fail(err error) {
	l.broken.Do(func() {
		l.why = err
		reset(l.client)
		reset(l.server)
	})
}

// reset ends the link from outside.
func (l *link) reset() { l.fail(errors.New("the program stops")) }

// reset closes a connection so that the peer is told that it broke.
func reset(s *socket.Socket) {
	_ = s.SetLinger(0) // without it the close is a plain one
	s.Close()
}
