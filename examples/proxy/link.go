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

// A link connects a client with a server.
type link struct {
	client, server *socket.Socket
	idle           time.Duration // 0 is none
	broken         sync.Once
	why            error // the first failure
}

// relay passes on what both sides send, until both have ended their stream, and
// closes the two sockets. If something fails it resets them, because a part of an
// answer must not look like a whole one.
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
	// Both sides have got all bytes and the end. Closing loses nothing.
	l.client.Close()
	l.server.Close()
	l.broken.Do(func() {}) // a later fail does nothing
	return l.why
}

// pump passes on the bytes of one direction, and then its end.
func (l *link) pump(to, from *socket.Socket) {
	for looks := 0; ; {
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
		// Nothing has come in this direction for a while. The link is idle only if
		// nothing has come in the other direction, either. If the process was stopped
		// for a while, the other direction may have to pass on what has come meanwhile,
		// so a second look decides.
		quiet, err := l.quiet()
		next := l.idle - quiet
		if looks++; next > 0 {
			looks = 0
		} else {
			next = min(l.idle, secondLook)
		}
		if err == nil && looks > 1 {
			err = fmt.Errorf("idle for %v", l.idle)
		}
		if err == nil {
			err = from.SetRecvTimeout(max(next, time.Millisecond))
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// secondLook is when a link that seems idle is looked at again.
const secondLook = 100 * time.Millisecond

// quiet returns for how long nothing has come from either side, or was passed on to it.
// It asks the kernel, because the program does not see spliced bytes.
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
	var unread int
	closed := raw.Control(func(fd uintptr) {
		if unread, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil {
			info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		}
	})
	if err = errors.Join(closed, err); err != nil || unread > 0 {
		return 0, err // what is unread is passed on next, or the other side reads nothing
	}
	since := info.Last_data_recv
	if info.Retransmits == 0 { // otherwise the kernel sends old bytes to a peer that is gone
		since = min(since, info.Last_data_sent)
	}
	return time.Duration(since) * time.Millisecond, nil
}

// fail stores why the link broke, and ends the other direction.
func (l *link) fail(err error) {
	l.broken.Do(func() {
		l.why = err
		reset(l.client)
		reset(l.server)
	})
}

// reset ends the link from outside.
func (l *link) reset() { l.fail(errors.New("the program stops")) }

// reset closes a connection so that the peer gets a reset.
func reset(s *socket.Socket) {
	_ = s.SetLinger(0) // if this fails, the peer sees an orderly end
	s.Close()
}
