package builtins

import (
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Strerror returns the C library's text of an errno: strerror(3). Go's text has a
// small first letter, unless the second letter is a capital.
func Strerror(errno syscall.Errno) string {
	text := []byte(errno.Error())
	if len(text) > 1 && 'a' <= text[0] && text[0] <= 'z' && (text[1] < 'A' || text[1] > 'Z') {
		text[0] -= 'a' - 'A'
	}
	return string(text)
}

// A LookupError says why a look-up failed, in the C library's words: gai_strerror(3).
type LookupError string

const (
	NoName      LookupError = "Name or service not known"                 // EAI_NONAME
	NoService   LookupError = "Servname not supported for ai_socktype"    // EAI_SERVICE
	OtherFamily LookupError = "Address family for hostname not supported" // EAI_ADDRFAMILY
	TryAgain    LookupError = "Temporary failure in name resolution"      // EAI_AGAIN
)

// Error returns the C library's words.
func (e LookupError) Error() string { return string(e) }

// OfLookup returns the LookupError of a look-up that a function of this package, package
// net or package socket has made. It returns "" for other errors, and for a look-up that
// a timeout or an interruption has ended.
func OfLookup(err error) LookupError {
	var own LookupError
	var call *socket.Error
	var dns *net.DNSError
	var address *net.AddrError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, unix.EINTR), errors.As(err, &call) && call.Timeout():
		return ""
	case errors.As(err, &dns):
		return dnsError(dns)
	case errors.As(err, &address) && strings.HasPrefix(address.Err, "a port"):
		return NoService
	}
	return ""
}

func dnsError(e *net.DNSError) LookupError {
	switch {
	case e.Err == "unknown port":
		return NoService
	case e.IsNotFound, e.Err == "unrecognized address":
		return NoName
	}
	return TryAgain
}

// Message returns the system's text of an error, by strerror(3) or gai_strerror(3), and
// its errno, which is 0 for a look-up. The text is empty if the error is not the
// system's: then it is a mistake of the program, such as a wrong argument.
func Message(err error) (text string, errno syscall.Errno) {
	if failed := OfLookup(err); failed != "" {
		return string(failed), 0
	}
	var call *socket.Error
	switch {
	case errors.As(err, &call):
		errno = call.Errno
	case errors.As(err, &errno):
	case errors.Is(err, net.ErrClosed), errors.Is(err, fs.ErrClosed):
		errno = unix.EBADF
	default:
		return "", 0
	}
	return Strerror(errno), errno
}
