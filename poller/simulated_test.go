//go:build linux

package poller

import (
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A kernel simulates what a Poller needs. Calls named in fail fail. EpollWait answers
// with answers, one after the other, and then with nothing.
type kernel struct {
	sys.Kernel
	first   int
	next    int
	open    map[int]bool
	fail    map[string]error
	added   int
	answers []answer
	waits   []bool // whether each EpollWait was to wait
}

type answer struct {
	events []unix.EpollEvent
	errno  syscall.Errno
	first  func() // is called before the answer
}

func simulate(t *testing.T) *kernel {
	k := &kernel{open: map[int]bool{}}
	first, err := sys.Attach(k)
	require.NoError(t, err)
	t.Cleanup(func() { sys.Detach(first) })
	k.first, k.next = first, first
	return k
}

func (k *kernel) failing(call string) syscall.Errno {
	errno, _ := k.fail[call].(syscall.Errno)
	return errno
}

func (k *kernel) make(call string) (int, syscall.Errno) {
	if errno := k.failing(call); errno != 0 {
		return -1, errno
	}
	k.next++
	k.open[k.next-1] = true
	return k.next - 1, 0
}
func (k *kernel) EpollCreate() (int, syscall.Errno) { return k.make("epoll_create1") }
func (k *kernel) Eventfd() (int, syscall.Errno)     { return k.make("eventfd") }
func (k *kernel) Timerfd() (int, syscall.Errno)     { return k.make("timerfd_create") }

func (k *kernel) Close(fd int) syscall.Errno {
	if !k.open[fd] {
		return unix.EBADF
	}
	delete(k.open, fd)
	return k.failing("close")
}

func (k *kernel) EpollCtl(int, int, int, *unix.EpollEvent) syscall.Errno {
	k.added++
	if k.added == 1 {
		return k.failing("epoll_ctl add")
	}
	return k.failing("the second epoll_ctl add")
}

func (k *kernel) EpollWait(_ int, events []unix.EpollEvent, forever bool) (int, syscall.Errno) {
	k.waits = append(k.waits, forever)
	if len(k.answers) == 0 {
		return 0, 0
	}
	a := k.answers[0]
	k.answers = k.answers[1:]
	if a.first != nil {
		a.first()
	}
	return copy(events, a.events), a.errno
}

func (k *kernel) TimerfdSettime(int, time.Duration) syscall.Errno {
	return k.failing("timerfd_settime")
}

func (k *kernel) Write(_ int, buf []byte) (int, syscall.Errno) {
	return len(buf), k.failing("write")
}

// If one of the calls fails that open a Poller, the error is this call's, and nothing
// stays open.
func TestFailedOpenKeepsNothing(t *testing.T) {
	for _, call := range []string{"epoll_create1", "eventfd", "timerfd_create", "epoll_ctl add", "the second epoll_ctl add"} {
		k := simulate(t)
		k.fail = map[string]error{call: unix.EHOSTDOWN}
		p, err := OpenOn(k, Blocking)
		require.ErrorIs(t, err, unix.EHOSTDOWN, call)
		require.Nil(t, p)
		require.Empty(t, k.open, call)
		if len(call) < len("the second") {
			require.ErrorContains(t, err, call)
		}
	}
}

// The errors of Close, Wake and Hasten name the call that has failed.
func TestErrorsNameTheCall(t *testing.T) {
	for call, use := range map[string]func(*Poller) error{
		"close":           (*Poller).Close,
		"write":           (*Poller).Wake,
		"timerfd_settime": func(p *Poller) error { return p.Hasten(time.Now().Add(time.Hour)) },
	} {
		k := simulate(t)
		p, err := OpenOn(k, Automatic)
		require.NoError(t, err)
		k.fail = map[string]error{call: unix.EHOSTDOWN}
		err = use(p)
		require.ErrorIs(t, err, unix.EHOSTDOWN)
		require.ErrorContains(t, err, call)
		k.fail = nil
		p.Close()
		require.Empty(t, k.open)
		require.ErrorIs(t, p.Hasten(time.Now()), ErrClosed)
	}
}

// On a simulated kernel a Poller is Blocking, and holds only if it is told to: there
// nothing else runs while it does.
func TestStrategyOnASimulatedKernel(t *testing.T) {
	_, err := OpenOn(simulate(t), Parked)
	require.ErrorContains(t, err, "no strategy Parked")
	for _, s := range []Strategy{Automatic, Blocking} {
		p, err := OpenOn(simulate(t), s)
		require.NoError(t, err)
		require.IsType(t, &blocking{}, p.sleeper)
		for hold, want := range map[Hold]bool{HoldAuto: false, HoldNever: false, HoldAlways: true} {
			p.Hold(hold)
			require.Equal(t, want, p.Holds())
		}
		require.NoError(t, p.Close())
	}
}

// A blocking wait looks before it sleeps, spins at first alone, and returns what each look
// says. Only the last look sleeps.
func TestBlockingLooks(t *testing.T) {
	some := answer{events: make([]unix.EpollEvent, 2)}
	bad, interrupted := answer{errno: unix.EHOSTDOWN}, answer{errno: unix.EINTR}
	for name, c := range map[string]struct {
		spin    time.Duration
		first   bool
		answers []answer
		n       int
		err     error
		waits   []bool
		sleeps  uint64
		polls   uint64
	}{
		"there":                 {0, true, []answer{some}, 2, nil, []bool{false}, 0, 0},
		"later":                 {0, true, []answer{{}, some}, 2, nil, []bool{false, true}, 1, 0},
		"after signals":         {0, false, []answer{{}, interrupted, interrupted, some}, 2, nil, []bool{false, true, true, true}, 1, 0},
		"fails at once":         {0, true, []answer{bad}, 0, unix.EHOSTDOWN, []bool{false}, 0, 0},
		"fails in its sleep":    {0, true, []answer{{}, bad}, 0, unix.EHOSTDOWN, []bool{false, true}, 1, 0},
		"before the spin":       {time.Minute, true, []answer{some}, 2, nil, []bool{false}, 0, 0},
		"in the spin":           {time.Minute, true, []answer{{}, {}, some}, 2, nil, []bool{false, false, false}, 0, 1},
		"fails before the spin": {time.Minute, true, []answer{bad}, 0, unix.EHOSTDOWN, []bool{false}, 0, 0},
		"fails in the spin":     {time.Minute, true, []answer{{}, bad}, 0, unix.EHOSTDOWN, []bool{false, false}, 0, 1},
		"no spin again":         {time.Minute, false, []answer{{}, some}, 2, nil, []bool{false, true}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := simulate(t)
			k.answers = c.answers
			b := blocking{k.first + 50, &spinner{most: c.spin}}
			n, err := b.wait(make([]Event, 4), c.first)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.n, n)
			require.Equal(t, c.waits, k.waits)
			require.Equal(t, Counts{Sleeps: c.sleeps, Polls: c.polls}, b.spinner.counts)
		})
	}
	k := simulate(t)
	k.answers = []answer{bad}
	s := spinner{most: time.Minute}
	n, err := s.spin(k.first, make([]Event, 4))
	require.ErrorIs(t, err, unix.EHOSTDOWN)
	require.Zero(t, n)
	k.answers = []answer{{}, bad}
	n, err = s.spin(k.first, make([]Event, 4))
	require.ErrorIs(t, err, unix.EHOSTDOWN)
	require.Zero(t, n)
}

func eventOf(key uint64) (e unix.EpollEvent) {
	e.Fd, e.Pad = int32(uint32(key)), int32(uint32(key>>32))
	return e
}

// A Wait that fails or is closed after it has found events returns none of them.
func TestWaitReturnsEventsOrAnError(t *testing.T) {
	k := simulate(t)
	p, err := OpenOn(k, Blocking)
	require.NoError(t, err)
	events := make([]Event, 4)
	found := []unix.EpollEvent{eventOf(7), eventOf(alarmKey), eventOf(8)}

	k.answers = []answer{{events: found}}
	n, err := p.Wait(events, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []uint64{7, 8}, []uint64{events[0].Key(), events[1].Key()})

	k.answers = []answer{{events: found, first: func() {
		p.alarm.armed = 1 // it seems to have expired early
		k.fail = map[string]error{"timerfd_settime": unix.EHOSTDOWN}
	}}}
	n, err = p.Wait(events, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, unix.EHOSTDOWN)
	require.Zero(t, n)

	k.answers = []answer{{events: found, first: func() { p.closing.Store(true) }}}
	k.fail = nil
	n, err = p.Wait(events, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, ErrClosed)
	require.Zero(t, n)
	p.closing.Store(false)
	require.NoError(t, p.Close())
	n, err = p.Wait(events, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, ErrClosed)
	require.Zero(t, n)
}
