package lua

import (
	"errors"
	"io"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// LuaSocket's own messages.
const (
	msgClosed  = "closed"
	msgTimeout = "timeout"
	msgRefused = "refused" // datagram objects say this where streams say "closed"
)

// errClosed says that an object has no descriptor.
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

// message returns the text of an error that a script gets.
func message(err error) string {
	switch e := err.(type) {
	case *socket.Error:
		// A second connect during the first is not a timeout in LuaSocket.
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
	return err.Error() // errClosed or a lookupError
}

func errnoMessage(errno syscall.Errno) string {
	if text, ok := messages[errno]; ok {
		return text
	}
	return strerror(errno)
}

// strerror returns the C library's text of an errno. Go's text has a small first
// letter, unless the second letter is a capital.
func strerror(errno syscall.Errno) string {
	text := []byte(errno.Error())
	if len(text) > 1 && 'a' <= text[0] && text[0] <= 'z' && (text[1] < 'A' || text[1] > 'Z') {
		text[0] -= 'a' - 'A'
	}
	return string(text)
}

// errnoOf returns the errno in an error, if there is one.
func errnoOf(err error) (errno syscall.Errno, ok bool) {
	ok = errors.As(err, &errno)
	return errno, ok
}
