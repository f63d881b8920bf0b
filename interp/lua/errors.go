package lua

import (
	"errors"
	"io"
	"syscall"

	"github.com/seed-2334f180/weir/interp/builtins"
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

// lookupMessages are LuaSocket's texts, except those of the C library.
var lookupMessages = map[builtins.LookupError]string{
	builtins.NoName:    "host or service not provided, or not known",
	builtins.NoService: "service not supported for socket type",
	builtins.TryAgain:  "temporary failure in name resolution",
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
	case builtins.LookupError:
		if text, ok := lookupMessages[e]; ok {
			return text
		}
	}
	if err == io.EOF {
		return msgClosed
	}
	return err.Error()
}

func errnoMessage(errno syscall.Errno) string {
	if text, ok := messages[errno]; ok {
		return text
	}
	return builtins.Strerror(errno)
}

// errnoOf returns the errno in an error, if there is one.
func errnoOf(err error) (errno syscall.Errno, ok bool) {
	ok = errors.As(err, &errno)
	return errno, ok
}
