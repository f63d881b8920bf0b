package lua

import (
	"context"
	"errors"
	"time"
	"weak"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

const noDescriptor = -1

// A handle is a socket that objects hold. After setfd two objects may hold the same
// handle.
type handle struct {
	socket *socket.Socket // nil: fd is no socket
	fd     int

	recvWait, sendWait time.Duration   // as last set on the socket
	view               *socket.Socket  // the socket with viewContext, from the last call
	viewContext        context.Context // of the state
	tries              tries           // of early
	selectable         *selectable     // for select; made when first needed
}

// newHandle returns the handle of a socket without timeouts.
func newHandle(s *socket.Socket) *handle {
	return &handle{socket: s, fd: s.Fd(), recvWait: forever, sendWait: forever}
}

// receiving returns the socket to receive with. A receive waits for at most wait, and
// ends when the context of the state ends.
func (h *handle) receiving(L *glua.LState, wait time.Duration) (*socket.Socket, error) {
	return h.bounded(L, wait, &h.recvWait, "SO_RCVTIMEO", (*socket.Socket).SetRecvTimeout)
}

func (h *handle) sending(L *glua.LState, wait time.Duration) (*socket.Socket, error) {
	return h.bounded(L, wait, &h.sendWait, "SO_SNDTIMEO", (*socket.Socket).SetSendTimeout)
}

func (h *handle) bounded(L *glua.LState, wait time.Duration, last *time.Duration, option string, set func(*socket.Socket, time.Duration) error) (*socket.Socket, error) {
	if h.socket == nil {
		return nil, unix.ENOTSOCK
	}
	if wait != *last {
		var err error
		switch wait {
		case forever:
			err = set(h.socket, 0)
		case 0:
			err = h.socket.Setsockopt(nil, option, pollMillis)
		default:
			err = set(h.socket, wait)
		}
		if err != nil {
			return nil, err
		}
		*last = wait
	}
	ctx := waitContext(L)
	if ctx == nil || wait == 0 {
		return h.socket, nil
	}
	if ctx != h.viewContext {
		h.view, h.viewContext = h.socket.WithContext(ctx), ctx
	}
	return h.view, nil
}

// early receives before the loop has reported input, for a call that may wait. It reports
// whether the call is done. To wait for the loop takes some microseconds more than the system
// call, and the input may be there: scripts send to themselves, and peers are quick.
func (h *handle) early(wait time.Duration, buf []byte) (n int, err error, done bool) {
	if wait == 0 || h.socket == nil || h.socket.Registration().Look(loop.Readable) != loop.Unready || !h.tries.due() {
		return 0, nil, false
	}
	n, err = h.socket.Recv(buf, unix.MSG_DONTWAIT)
	done = !errors.Is(err, unix.EAGAIN)
	h.tries.note(done)
	return n, err, done
}

// tries decides which calls try early. Each try that finds no input doubles the number of calls
// that do not try.
type tries struct{ failed, skip uint8 }

// mostFailed lets at least 1 of 64 calls try.
const mostFailed = 6

func (t *tries) due() bool {
	if t.skip == 0 {
		return true
	}
	t.skip--
	return false
}

func (t *tries) note(found bool) {
	if found {
		*t = tries{}
		return
	}
	t.failed = min(t.failed+1, mostFailed)
	t.skip = 1<<t.failed - 1
}

// pollMillis is the timeout of a socket whose calls do not wait: see Setsockopt.
const pollMillis = -1000

// alive reports whether the socket is open.
func (h *handle) alive() bool { return h.socket == nil || h.socket.Fd() >= 0 }

// descriptors finds the object of a descriptor. select looks up the descriptors that
// wrappers return, and setfd looks up any descriptor.
type descriptors struct {
	objects map[int]weak.Pointer[object]
	// stray holds the sockets that setfd took from objects and that no object has
	// now.
	stray map[int]*handle
}

func (d *descriptors) add(o *object) {
	if d.objects == nil {
		d.objects = make(map[int]weak.Pointer[object])
	}
	d.objects[o.fd] = o.self()
}

// find returns the object of a descriptor, or nil.
func (d *descriptors) find(fd int) *object {
	if o := d.objects[fd].Value(); o != nil && o.fd == fd {
		return o
	}
	return nil
}

// forget drops the entry of an object.
func (d *descriptors) forget(o *object) {
	if d.objects[o.fd].Value() == o {
		delete(d.objects, o.fd)
	}
}

// take returns a handle for a descriptor that a script gives to an object.
func (d *descriptors) take(fd int) *handle {
	h := d.stray[fd]
	delete(d.stray, fd)
	if h != nil && h.alive() {
		return h
	}
	if o := d.find(fd); o != nil {
		return o.h
	}
	s, err := socket.Adopt(fd)
	if err != nil {
		return &handle{fd: fd}
	}
	h = newHandle(s)
	h.recvWait, h.sendWait = unknownWait, unknownWait
	return h
}

// unknownWait differs from every wait, so that the next call sets its own.
const unknownWait time.Duration = -2

// leave keeps a descriptor open that setfd takes from an object.
func (d *descriptors) leave(h *handle) {
	if h.socket == nil {
		return
	}
	if d.stray == nil {
		d.stray = make(map[int]*handle)
	}
	d.stray[h.fd] = h
}
