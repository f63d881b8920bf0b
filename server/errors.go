package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The errors that programs compare with. Each unwraps to the errno that says
// the same, as errors.Is(err, unix.ECANCELED).
var (
	// ErrClosed is returned by the methods of a Server that has ended or is
	// ending, and by Wait. It unwraps to ECANCELED.
	ErrClosed error = &sentinel{"the server is closed", unix.ECANCELED}

	// ErrAborted is why a connection ended after Conn.Abort: ECONNABORTED.
	ErrAborted error = &sentinel{"the connection was aborted", unix.ECONNABORTED}

	// ErrInputFull is why a connection ended whose Data callback left more than
	// Server.MaxInput unread: EMSGSIZE.
	ErrInputFull error = &sentinel{"the input is full: the callback left too much unread", unix.EMSGSIZE}

	// ErrNoInput is what Conn.Read returns when all input that has arrived was
	// read, and more may arrive: EAGAIN.
	ErrNoInput error = &sentinel{"there is no unread input", unix.EAGAIN}

	// ErrMemoryFull is why a connection ended that held most of the memory when
	// Server.MaxMemory was reached. It also refuses a write for which MaxMemory has no
	// room: ENOMEM.
	ErrMemoryFull error = &sentinel{"the memory for connections is full", unix.ENOMEM}

	// ErrOutputFull refuses a write that Server.MaxOutput has no room for:
	// ENOBUFS.
	ErrOutputFull error = &sentinel{"the output queue has no room: it would have more than Server.MaxOutput", unix.ENOBUFS}
)

// A sentinel is an error of this package with the errno that it unwraps to.
type sentinel struct {
	text  string
	errno syscall.Errno
}

// Error returns the text after the package's name.
func (e *sentinel) Error() string { return "server: " + e.text }

// Unwrap returns the errno.
func (e *sentinel) Unwrap() error { return e.errno }
