package lua

import (
	"errors"
	"io"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// The messages that LuaSocket has of its own.
const (
	msgClosed  = "closed"
	msgTimeout = "timeout"
	msgRefused = "refused" // of datagrams, what "closed" is of streams
)

// errClosed is that an object has no descriptor.
var errClosed = errors.New(msgClosed)

var messages = map[syscall.Errno]string{
	unix.EADDRINUSE:   "address already in use",
	unix.EISCONN:      "already connected",
	unix.EACCES:       "permission denied",
	unix.ECONNREFUSED: "connection refused",
	unix.ECONNABORTED: msgClosed,
	unix.ECONNRESET:   msgClosed,
	unix.ETIMEDOUT:    msgTimeout,
	unix.EPIPE:        msgClosed,
}

// message is what a script is told of an error.
func message(err error) string {
	switch e := err.(type) {
	case *socket.Error:
		// A connect in progress that is asked again is no timeout to LuaSocket.
		if e.Timeout() && e.Errno != unix.EALREADY {
			return msgTimeout
		}
		return errnoMessage(e.Errno)
	case syscall.Errno:
		return errnoMessage(e)
	}
	if err == io.EOF {
		return msgClosed
	}
	return err.Error() // errClosed, a lookupError
}

func errnoMessage(errno syscall.Errno) string {
	if text, ok := messages[errno]; ok {
		return text
	}
	return strerror(errno)
}

// strerror is the C library's text. Go's differs in the first letter: it is
// small, unless the second is a capital.
func strerror(errno syscall.Errno) string {
	text := []byte(errno.Error())
	if len(text) > 1 && 'a' <= text[0] && text[0] <= 'z' && (text[1] < 'A' || text[1] > 'Z') {
		text[0] -= 'a' - 'A'
	}
	return string(text)
}

// errnoOf is the errno that an error has, if any.
func errnoOf(err error) (errno syscall.Errno, ok bool) {
	ok = errors.As(err, &errno)
	return errno, ok
}
