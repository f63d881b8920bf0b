//go:build linux

package simkernel

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// A Host is the kernel of one simulated host.
type Host struct {
	w     *World
	addr  netip.Addr
	first int     // descriptor of files[0]
	files []*file // nil where a number is free
	limit int     // descriptors that the process may have
	open  int

	serials [kinds]uint64 // how many objects of each kind the host has had

	bound map[binding][]*sock
	port  uint16 // the last port that the host has chosen
}

var _ sys.Kernel = (*Host)(nil)

// Host makes a host with an address. The address is not in use yet.
func (w *World) Host(addr netip.Addr) (*Host, error) {
	h := &Host{w: w, addr: addr, limit: 1 << 20, bound: make(map[binding][]*sock)}
	var err error
	if h.first, err = sys.Attach(h); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h.port = uint16(32768 + h.random(sockets, 0).IntN(20000))
	w.hosts[addr] = h
	return h, nil
}

func (h *Host) detach() { sys.Detach(h.first) }

// SetLimit sets how many descriptors of sockets the host may have: RLIMIT_NOFILE.
func (h *Host) SetLimit(n int) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.limit = n
}

// Open returns how many sockets are open.
func (h *Host) Open() int {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.open
}

// kinds of objects. Each kind is counted for itself, because a loop and a goroutine may make
// objects at the same time.
const (
	sockets  = iota
	children // sockets that a listener has made
	sets     // and the descriptors that a loop needs beside
	kinds
)

// random returns a source of decisions. Objects do not share one, so that the order in which
// goroutines use different objects decides nothing.
func (h *Host) random(kind int, serial uint64) *rand.Rand {
	a := h.addr.As16()
	return rand.New(rand.NewPCG(h.w.seed^binary.BigEndian.Uint64(a[8:]), serial<<8|uint64(kind)))
}

// next returns the number of a new object.
func (h *Host) next(kind int) uint64 {
	h.serials[kind]++
	return h.serials[kind]
}

// A file is what a descriptor stands for.
type file struct {
	object
	items []*item // the epoll sets that have it
}

// An object has the conditions of poll(2).
type object interface {
	poll() uint32 // EPOLLIN and so on
	close()
}

// add gives an object a descriptor.
func (h *Host) add(o object) (int, *file) {
	f := &file{object: o}
	for i := range h.files {
		if h.files[i] == nil {
			h.files[i] = f
			return h.first + i, f
		}
	}
	h.files = append(h.files, f)
	return h.first + len(h.files) - 1, f
}

func (h *Host) find(fd int) *file {
	if i := fd - h.first; i >= 0 && i < len(h.files) {
		return h.files[i]
	}
	return nil
}

// A call is one system call on a descriptor.
type call struct {
	h *Host
	f *file
}

// begin begins a system call. It returns false if the descriptor is not open. end must follow
// otherwise.
func (h *Host) begin(fd int) (call, bool) {
	h.w.mu.Lock()
	f := h.find(fd)
	if f == nil {
		h.w.mu.Unlock()
		return call{}, false
	}
	return call{h, f}, true
}

// end ends a system call. Chance decides whether other goroutines run now.
func (c call) end(name string, n int, errno syscall.Errno) {
	early := false
	if s, ok := c.f.object.(*sock); ok {
		s.note(name, n, errno)
		early = errno == unix.EAGAIN && s.chance.IntN(2) == 0 && c.h.w.early(s)
	}
	yield := early || c.h.w.yields.IntN(8) == 0 || errno == unix.EAGAIN && c.h.w.yields.IntN(2) == 0
	c.h.w.mu.Unlock()
	if yield {
		runtime.Gosched()
	}
}

func (h *Host) sock(fd int) (call, *sock, syscall.Errno) {
	c, ok := h.begin(fd)
	if !ok {
		return c, nil, unix.EBADF
	}
	s, ok := c.f.object.(*sock)
	if !ok {
		h.w.mu.Unlock()
		return c, nil, unix.ENOTSOCK
	}
	return c, s, 0
}

// Socket implements sys.Kernel.
func (h *Host) Socket(family, typ, protocol int) (int, syscall.Errno) {
	typ &^= unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	switch {
	case family != unix.AF_INET && family != unix.AF_INET6:
		return -1, unix.EAFNOSUPPORT
	case typ == unix.SOCK_STREAM && (protocol == 0 || protocol == unix.IPPROTO_TCP):
	case typ == unix.SOCK_DGRAM && (protocol == 0 || protocol == unix.IPPROTO_UDP):
	case typ == unix.SOCK_STREAM || typ == unix.SOCK_DGRAM:
		return -1, unix.EPROTONOSUPPORT
	default:
		return -1, unix.ESOCKTNOSUPPORT
	}
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.open >= h.limit {
		return -1, unix.EMFILE
	}
	return h.addSock(newSock(h, family, typ, sockets)), 0
}

// addSock gives a socket a descriptor.
func (h *Host) addSock(s *sock) int {
	h.open++
	fd, f := h.add(s)
	s.file = f
	return fd
}

// Close implements sys.Kernel.
func (h *Host) Close(fd int) syscall.Errno {
	c, ok := h.begin(fd)
	if !ok {
		return unix.EBADF
	}
	h.files[fd-h.first] = nil
	for _, it := range c.f.items {
		it.remove()
	}
	if _, ok := c.f.object.(*sock); ok {
		h.open--
	}
	c.f.object.close()
	c.end("close", 0, 0)
	return 0
}

// Poll implements sys.Kernel.
func (h *Host) Poll(fd int, events int16) int16 {
	c, ok := h.begin(fd)
	if !ok {
		return unix.POLLNVAL
	}
	got := int16(c.f.poll()) & (events | unix.POLLERR | unix.POLLHUP)
	c.end("poll", int(got), 0)
	return got
}

// An eventfd is readable once it was written to. Nobody reads it.
type eventfd struct {
	count uint64
}

func (e *eventfd) poll() uint32 {
	if e.count > 0 {
		return unix.EPOLLIN
	}
	return 0
}

func (e *eventfd) close() {}

// Eventfd implements sys.Kernel.
func (h *Host) Eventfd() (int, syscall.Errno) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	fd, _ := h.add(new(eventfd))
	return fd, 0
}

// Write implements sys.Kernel. Only an eventfd can be written to.
func (h *Host) Write(fd int, buf []byte) (int, syscall.Errno) {
	c, ok := h.begin(fd)
	if !ok {
		return 0, unix.EBADF
	}
	e, ok := c.f.object.(*eventfd)
	if !ok || len(buf) != 8 {
		h.w.mu.Unlock()
		return 0, unix.EOPNOTSUPP
	}
	e.count += binary.NativeEndian.Uint64(buf)
	c.f.wake(unix.EPOLLIN)
	c.end("eventfd", 8, 0)
	return 8, 0
}

// A timerfd is readable once it has expired. Nobody reads it.
type timerfd struct {
	rng     *rand.Rand
	set     uint64 // how often it was set
	expired bool
}

func (t *timerfd) poll() uint32 {
	if t.expired {
		return unix.EPOLLIN
	}
	return 0
}

func (t *timerfd) close() { t.set++ }

// Timerfd implements sys.Kernel.
func (h *Host) Timerfd() (int, syscall.Errno) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	fd, _ := h.add(&timerfd{rng: h.random(sets, h.next(sets))})
	return fd, 0
}

// TimerfdSettime implements sys.Kernel.
func (h *Host) TimerfdSettime(fd int, left time.Duration) syscall.Errno {
	c, ok := h.begin(fd)
	if !ok {
		return unix.EBADF
	}
	t, ok := c.f.object.(*timerfd)
	if !ok {
		h.w.mu.Unlock()
		return unix.EINVAL
	}
	t.set++
	set := t.set
	t.expired = false
	if left > 0 {
		f := c.f
		h.w.after(left, t.rng, func() {
			if t.set == set {
				t.expired = true
				f.wake(unix.EPOLLIN)
			}
		})
	}
	c.end("timerfd", 0, 0)
	return 0
}
