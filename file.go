package weir

import (
	"net/netip"
	"runtime"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A File is any descriptor, for Select to wait for: a pipe, a terminal, an
// eventfd, timerfd or signalfd, standard input, a foreign socket. A regular file
// is always ready to be read and written, as select(2) has it.
type File struct{ reg *loop.Registration }

var _ Selectable = (*File)(nil)

// Watch makes a File of a descriptor, which stays the caller's: its number,
// its flags and what is read from it are not touched. The File has a duplicate,
// so it must be closed as well, before or after; until then the other end of a
// pipe does not see that it was closed. A File that the program forgets is closed.
func Watch(fd int) (*File, error) {
	group, err := loop.Default()
	if err != nil {
		return nil, watchFailed(err)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, watchFailed(err)
	}
	f := &File{new(loop.Registration)}
	f.reg.Share()
	if err := group.Pick(netip.Addr{}).Register(f.reg, dup, loop.DropWritable); err != nil {
		unix.Close(dup)
		return nil, watchFailed(err)
	}
	if err := f.reg.Watch(); err != nil {
		f.reg.Close()
		return nil, watchFailed(err)
	}
	runtime.AddCleanup(f, func(r *loop.Registration) { r.Close() }, f.reg)
	return f, nil
}

func watchFailed(err error) error {
	e := failed("", err).(*socket.Error)
	e.Op = "watch"
	return e
}

// Registration is for Select. A nil File has none.
func (f *File) Registration() *loop.Registration {
	if f == nil {
		return nil
	}
	return f.reg
}

// Buffered is 0: nothing is read ahead.
func (f *File) Buffered() int { return 0 }

// Interrupt ends each Select that waits for the file at this moment, with EINTR.
func (f *File) Interrupt() {
	f.reg.Interrupt()
	runtime.KeepAlive(f)
}

// Close ends the watch; each Select on the file returns EBADF. The descriptor
// that Watch was given stays open. A second Close returns EBADF.
func (f *File) Close() error {
	err := f.reg.Close()
	runtime.KeepAlive(f)
	if err != nil {
		e := failed("", err).(*socket.Error)
		e.Op = "close"
		return e
	}
	return nil
}
