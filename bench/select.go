package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// The select suite: what it costs to find the one socket that is ready among many, and how
// soon a wait for all of them ends when one becomes ready.
var selectSuite = suite{
	name:  "select",
	about: "Select and Selector over many sockets, beside poll, select and epoll on the same descriptors",
	tables: func(e env) []table {
		return []table{
			findTable(e, findOne, "one ready, marks certain", "weir: Select, which knows from the loop's events what is ready."),
			findTable(e, findDoubtful, "one ready, all marks doubtful", "Before each call, every socket is made to look as if its state had changed without an event: Select must ask the kernel about all of them."),
			findTable(e, findWoken, "none ready, one becomes so", "The time from the write, made by another thread a while after the call began, to the end of the call."),
		}
	},
}

const (
	findOne      = "one"
	findDoubtful = "doubtful"
	findWoken    = "wake"

	nsPerFind = "ns_per_call"

	// selectLimit is FD_SETSIZE: select(2) knows no greater descriptors.
	selectLimit = 1024
	// wakeDelay is how long a wait lasts before it is ended: longer than it takes to fall asleep.
	wakeDelay = 500 * time.Microsecond
)

var findSizes = []int{10, 100, 1000, 8000}

// finders are the subjects of this suite, by the program's subject that they belong to.
var finders = []struct {
	name, subject string
	modes         []string
	most          int // sockets
	open          func([]*socket.Socket) (finder, error)
}{
	{"weir", "weir", []string{findOne, findDoubtful, findWoken}, 1 << 20, openSelect},
	{"selector", "weir", []string{findOne, findDoubtful, findWoken}, 1 << 20, openSelector},
	{"poll", "kernel", []string{findOne, findDoubtful, findWoken}, 1 << 20, openPoll},
	{"select", "kernel", []string{findOne, findWoken}, selectLimit - 24, openKernelSelect},
	{"epoll", "kernel", []string{findOne, findWoken}, 1 << 20, openEpoll},
}

// A finder makes one call that waits, and returns how many are ready.
type finder struct {
	find  func() (int, error)
	close func()
}

func findTable(e env, mode, title, legend string) table {
	t := table{
		title:   fmt.Sprintf("select: %s, %s of %v", title, counted(e.reps, "round"), e.dur),
		rowHead: "sockets",
		metrics: []metric{{nsPerFind, "ns/call", decimals(0), inTable, inTable}},
		pairs:   []pair{{"weir", "poll", "vs poll"}, {"selector", "poll", "vs poll"}, {"selector", "epoll", "vs epoll"}},
		legend: []string{
			legend,
			"The sockets are both ends of TCP connections over loopback, all in one process; the calls are for reading. Median of the calls.",
			"vs: this row divided by the peer in the same round: median (least–greatest). Below 1 is faster.",
		},
	}
	for _, n := range findSizes {
		names := findersFor(e.subjects, mode, n)
		if limit, err := hardFileLimit(); err == nil && limit < uint64(n+spareFiles) {
			continue
		}
		t.trials = append(t.trials, trial{
			name:     fmt.Sprintf("select,%s,n=%d", mode, n),
			label:    strconv.Itoa(n),
			subjects: names,
			measure: func(ctx context.Context, order []string, turnTo func(string)) (round, error) {
				turnTo("all in turn")
				where := place{core: anywhere}
				if mode != findWoken {
					where = place{e.cores.server, 1}
				}
				got, err := ask[findResult](ctx, where, "select", findOrder{order, mode, n, e.dur})
				if err != nil {
					return nil, err
				}
				r := make(round, len(order))
				for i, name := range order {
					r[name] = sample{nsPerFind: got.Nanoseconds[i]}
				}
				return r, nil
			},
		})
	}
	t.pairs = slices.DeleteFunc(t.pairs, func(p pair) bool {
		return !slices.ContainsFunc(t.trials, func(tr trial) bool {
			return slices.Contains(tr.subjects, p.subject) && slices.Contains(tr.subjects, p.peer)
		})
	})
	return t
}

func findersFor(chosen []string, mode string, n int) (names []string) {
	for _, f := range finders {
		if slices.Contains(chosen, f.subject) && slices.Contains(f.modes, mode) && n <= f.most {
			names = append(names, f.name)
		}
	}
	return names
}

type findOrder struct {
	Names   []string
	Mode    string
	Sockets int
	Window  time.Duration // for each name
}

type findResult struct{ Nanoseconds []float64 } // as the names

// measureFinds is the role of a process that has many sockets. It goes from one name to the
// next every few calls, so that what slows the machine slows all.
func measureFinds(order findOrder, answer answerFunc) error {
	if err := raiseFileLimit(); err != nil {
		return err
	}
	sockets, err := connectedSockets(order.Sockets)
	if err != nil {
		return err
	}
	middle := len(sockets) / 2 &^ 1
	bed := &bed{mode: order.Mode, sockets: sockets, hot: sockets[middle], peer: sockets[middle+1]}
	open := make([]finder, len(order.Names))
	for i, name := range order.Names {
		for _, f := range finders {
			if f.name == name {
				if open[i], err = f.open(sockets); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				defer open[i].close()
			}
		}
	}
	if err := bed.prepare(); err != nil {
		return err
	}
	times := make([][]float64, len(open))
	for end := time.Now().Add(order.Window * time.Duration(len(open))); len(times[0]) < 5 || time.Now().Before(end); {
		for i := range open {
			took, err := bed.measure(open[i].find)
			if err != nil {
				return fmt.Errorf("%s: %w", order.Names[i], err)
			}
			times[i] = append(times[i], took...)
		}
	}
	result := findResult{make([]float64, len(open))}
	for i, all := range times {
		result.Nanoseconds[i] = spreadOf(all).median
	}
	return answer(result)
}

// connectedSockets is n sockets, an even number: both ends of connections.
func connectedSockets(n int) ([]*socket.Socket, error) {
	l, err := socket.New(socket.Inet, socket.Stream, 0, socket.Address("127.0.0.1"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := l.Listen(64); err != nil {
		return nil, err
	}
	var sockets []*socket.Socket
	for len(sockets) < n {
		a, err := socket.New(socket.Inet, socket.Stream, 0)
		if err != nil {
			return nil, err
		}
		if err := a.ConnectAddr(l.LocalAddr()); err != nil {
			return nil, err
		}
		b, err := l.Accept()
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, a, b)
	}
	return sockets, nil
}

// A bed is the sockets in the state that the mode wants.
type bed struct {
	mode      string
	sockets   []*socket.Socket
	hot, peer *socket.Socket // the one that is or becomes ready, and its other end
	wake      chan int       // descriptors to write to, wakeDelay later
	written   time.Time      // when that was; read after the wait
}

func (b *bed) prepare() error {
	// Once with nothing ready, so that the loops watch all, and their events are in.
	if _, err := weir.Select(b.sockets, nil, nil, 20*time.Millisecond); err != nil {
		return err
	}
	if b.mode == findWoken {
		b.wake = make(chan int)
		go func() {
			runtime.LockOSThread()
			for fd := range b.wake {
				for start := time.Now(); time.Since(start) < wakeDelay; {
				}
				b.written = time.Now()
				unix.Write(fd, []byte{1})
			}
		}()
		return nil
	}
	if _, err := b.peer.Send([]byte{1}, 0); err != nil {
		return err
	}
	time.Sleep(20 * time.Millisecond)
	return nil
}

// measure times some calls.
func (b *bed) measure(find func() (int, error)) (took []float64, err error) {
	switch b.mode {
	case findOne:
		// As long for each, so that none pays more for the caches that the one before it
		// has left cold.
		calls := 0
		start := time.Now()
		for ; calls%16 != 0 || time.Since(start) < 2*time.Millisecond; calls++ {
			if err := one(find()); err != nil {
				return nil, err
			}
		}
		return []float64{float64(time.Since(start)) / float64(calls)}, nil
	case findDoubtful:
		for range 4 {
			for _, s := range b.sockets {
				s.Registration().Doubt()
			}
			start := time.Now()
			if err := one(find()); err != nil {
				return nil, err
			}
			took = append(took, float64(time.Since(start)))
		}
		return took, nil
	}
	var buf [1]byte
	for range 4 {
		b.wake <- b.peer.Fd()
		err := one(find())
		end := time.Now()
		if err != nil {
			return nil, err
		}
		if _, err := b.hot.Recv(buf[:], 0); err != nil {
			return nil, err
		}
		took = append(took, float64(end.Sub(b.written)))
	}
	return took, nil
}

func one(n int, err error) error {
	if err == nil && n != 1 {
		err = fmt.Errorf("%d are ready and not 1", n)
	}
	return err
}

// The finders

func openSelect(sockets []*socket.Socket) (finder, error) {
	var ready weir.Set[*socket.Socket]
	want := weir.Set[*socket.Socket]{Read: sockets}
	return finder{
		find:  func() (int, error) { return weir.SelectInto(context.Background(), &ready, want, weir.Forever) },
		close: func() {},
	}, nil
}

func openSelector(sockets []*socket.Socket) (finder, error) {
	s := weir.NewSelector()
	for _, what := range sockets {
		if err := s.Register(what, weir.Readable, nil); err != nil {
			return finder{}, err
		}
	}
	var ready []weir.Event
	return finder{
		find: func() (n int, err error) {
			ready, err = s.Wait(context.Background(), weir.Forever, ready)
			return len(ready), err
		},
		close: func() { s.Close() },
	}, nil
}

func openPoll(sockets []*socket.Socket) (finder, error) {
	var fds []unix.PollFd
	for _, s := range sockets {
		fds = append(fds, unix.PollFd{Fd: int32(s.Fd()), Events: unix.POLLIN})
	}
	return finder{
		find: func() (int, error) {
			return restarted(func() (int, error) { return unix.Poll(fds, -1) })
		},
		close: func() {},
	}, nil
}

func openKernelSelect(sockets []*socket.Socket) (finder, error) {
	var all unix.FdSet
	most := 0
	for _, s := range sockets {
		if s.Fd() >= selectLimit {
			return finder{}, errors.New("a descriptor is too great for select")
		}
		all.Set(s.Fd())
		most = max(most, s.Fd())
	}
	return finder{
		find: func() (int, error) {
			return restarted(func() (int, error) {
				ready := all
				return unix.Select(most+1, &ready, nil, nil, nil)
			})
		},
		close: func() {},
	}, nil
}

func openEpoll(sockets []*socket.Socket) (finder, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return finder{}, err
	}
	for _, s := range sockets {
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, s.Fd(), &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
			return finder{}, err
		}
	}
	events := make([]unix.EpollEvent, 64)
	return finder{
		find: func() (int, error) {
			return restarted(func() (int, error) { return unix.EpollWait(epfd, events, -1) })
		},
		close: func() { unix.Close(epfd) },
	}, nil
}

// restarted makes a call again when a signal has ended it.
func restarted(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
