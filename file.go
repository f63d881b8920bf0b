package weir

import (
	"net/netip"
	"runtime"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A File lets Select wait for any descriptor: a pipe, a terminal, an eventfd,
// timerfd or signalfd, standard input, a socket that Weir did not make. A regular
// file is always ready for reading and writing, as for select(2). It is
// concurrency-safe.
type File struct{ reg *loop.Registration }

var _ Selectable = (*File)(nil)

// Watch returns a File for a descriptor. The descriptor stays the caller's: Watch
// does not change its flags, and nothing reads from it. The File holds a duplicate.
// The program closes both, in any order; until both are closed, the other end of a
// pipe does not see the end. When the garbage collector frees a File, its duplicate
// is closed. Without a free descriptor Watch first collects what the program has
// forgotten, as socket.New does.
func Watch(fd int) (*File, error) {
	group, err := loop.Default()
	if err != nil {
		return nil, watchFailed(err)
	}
	var dup int
	err = socket.WithDescriptor(func() (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
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

// Registration returns the loop's record of the duplicate, for Select. It returns nil
// for a nil File.
func (f *File) Registration() *loop.Registration {
	if f == nil {
		return nil
	}
	return f.reg
}

// Buffered returns 0: a File has no input buffer.
func (f *File) Buffered() int { return 0 }

// Interrupt ends each Select that waits for the file now, with EINTR.
func (f *File) Interrupt() {
	f.reg.Interrupt()
	runtime.KeepAlive(f)
}

// Close closes the duplicate. Each Select on the file returns EBADF. The
// descriptor given to Watch stays open. A second Close returns EBADF.
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
