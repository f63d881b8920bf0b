//go:build linux

package simkernel

import (
	"math/rand/v2"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// An epoll is an epoll(7) set.
type epoll struct {
	rng     *rand.Rand
	items   map[*file]*item
	ready   []*item
	waiting bool
	over    bool
	bell    chan struct{} // rung when ready has an item, or over is set, while waiting
}

// An item is a file in a set.
type item struct {
	ep     *epoll
	file   *file
	ev     unix.EpollEvent
	queued bool // it is in ready
	gone   bool
}

func (e *epoll) poll() uint32 {
	if len(e.ready) > 0 {
		return unix.EPOLLIN
	}
	return 0
}

func (e *epoll) close() {
	for _, it := range e.items {
		it.remove()
	}
	e.over = true
	e.ring()
}

func (e *epoll) ring() {
	if e.waiting {
		e.waiting = false
		e.bell <- struct{}{}
	}
}

func (it *item) remove() {
	it.gone = true
	delete(it.ep.items, it.file)
	it.file.items = slices.DeleteFunc(it.file.items, func(x *item) bool { return x == it })
}

// wake reports conditions that have come to the sets that have the file; 0 stands for a change
// of state.
func (f *file) wake(bits uint32) {
	for _, it := range f.items {
		if bits == 0 || (it.ev.Events|unix.EPOLLERR|unix.EPOLLHUP)&bits != 0 {
			it.queue()
		}
	}
}

func (it *item) queue() {
	if !it.queued {
		it.queued = true
		it.ep.ready = append(it.ep.ready, it)
	}
	it.ep.ring()
}

// conditions returns the conditions of the file that are asked for.
func (it *item) conditions() uint32 {
	return it.file.poll() & (it.ev.Events | unix.EPOLLERR | unix.EPOLLHUP)
}

// EpollCreate implements sys.Kernel.
func (h *Host) EpollCreate() (int, syscall.Errno) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	e := &epoll{items: make(map[*file]*item), bell: make(chan struct{}, 1)}
	fd, _ := h.add(e)
	e.rng = h.random(sets, h.next(sets))
	return fd, 0
}

// EpollCtl implements sys.Kernel. All items are edge-triggered.
func (h *Host) EpollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno {
	c, ok := h.begin(epfd)
	if !ok {
		return unix.EBADF
	}
	errno := h.control(c.f.object, op, h.find(fd), ev)
	c.end("epoll_ctl", 0, errno)
	return errno
}

func (h *Host) control(o object, op int, f *file, ev *unix.EpollEvent) syscall.Errno {
	e, ok := o.(*epoll)
	switch {
	case f == nil:
		return unix.EBADF
	case !ok:
		return unix.EINVAL
	}
	it := e.items[f]
	switch op {
	case unix.EPOLL_CTL_ADD:
		if it != nil {
			return unix.EEXIST
		}
		it = &item{ep: e, file: f}
		e.items[f] = it
		f.items = append(f.items, it)
	case unix.EPOLL_CTL_MOD:
		if it == nil {
			return unix.ENOENT
		}
	case unix.EPOLL_CTL_DEL:
		if it == nil {
			return unix.ENOENT
		}
		it.remove()
		return 0
	default:
		return unix.EINVAL
	}
	it.ev = *ev
	if it.conditions() != 0 {
		it.queue()
	}
	return 0
}

// EpollWait implements sys.Kernel.
func (h *Host) EpollWait(epfd int, events []unix.EpollEvent, forever bool) (int, syscall.Errno) {
	c, ok := h.begin(epfd)
	if !ok {
		return 0, unix.EBADF
	}
	e, ok := c.f.object.(*epoll)
	if !ok {
		h.w.mu.Unlock()
		return 0, unix.EINVAL
	}
	for {
		n := e.take(events)
		if n > 0 || !forever || e.over {
			c.end("epoll_wait", n, 0)
			return n, 0
		}
		e.waiting = true
		h.w.mu.Unlock()
		<-e.bell
		h.w.mu.Lock()
	}
}

// take stores events. The seed decides their order, and how many there are at most. The rest
// stays.
func (e *epoll) take(events []unix.EpollEvent) (n int) {
	most := len(events)
	if len(e.ready) > 1 {
		e.rng.Shuffle(len(e.ready), func(i, j int) { e.ready[i], e.ready[j] = e.ready[j], e.ready[i] })
		if e.rng.IntN(4) == 0 {
			most = 1 + e.rng.IntN(min(most, len(e.ready)))
		}
	}
	for n < most && len(e.ready) > 0 {
		it := e.ready[0]
		e.ready = e.ready[1:]
		it.queued = false
		if it.gone {
			continue
		}
		if got := it.conditions(); got != 0 {
			events[n] = it.ev
			events[n].Events = got
			n++
		}
	}
	return n
}
