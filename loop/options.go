package loop

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/poller"
)

// Options say how a Loop works. The zero Options are the defaults. New and
// NewGroup refuse a value that is out of range.
type Options struct {
	// Strategy is how the loop sleeps. The default parks in the Go scheduler
	// where that works, and blocks in epoll_wait(2) elsewhere.
	Strategy poller.Strategy

	// Events is how many events one turn takes from the kernel at most; 0 is
	// 256. The buffer for them is allocated once.
	Events int

	// Expiries is how many timers one turn fires at most; 0 is 256.
	Expiries int

	// Tasks is how many posted tasks one turn runs at most; 0 is 1024.
	Tasks int

	// TaskQueue bounds the tasks that were posted and have not run: Post then
	// returns ErrQueueFull. 0 is 65536.
	TaskQueue int

	// BusyPoll is the longest time that the loop polls before it sleeps; 0 is
	// DefaultBusyPoll, and a negative value, such as NoBusyPoll, means that the
	// loop never polls before it sleeps. The loop polls only while two in three
	// of its last polls found events, that is, while requests follow one another
	// faster than the loop could sleep and wake up. It stops polling, after a
	// trial, when the events come from goroutines of its own process, because
	// polling keeps those from running. Polling takes processor time: set
	// NoBusyPoll where that is limited or measured.
	BusyPoll time.Duration

	// Hold says whether the loop may keep its P while it waits for events, instead
	// of parking. The default, poller.HoldAuto, lets it only while GOMAXPROCS is 1:
	// with several Ps, or in a container with a quota, nothing needs to be set.
	Hold poller.Hold

	// NoAlone makes each call wait by way of the loop. Otherwise, with several Ps,
	// a call on the only registration of the loop that has events waits without the
	// loop, in the way that measurement says costs least: it parks as a call of Go's
	// package net does, or it blocks its thread for at most half a millisecond, maybe
	// after it has polled for BusyPoll. The first takes one more descriptor. At most
	// half of the Ps, and eight threads, block or poll at a time.
	NoAlone bool

	// LockThread keeps the loop on one operating system thread. It is for the
	// poller.Blocking strategy: a loop that parks would pay two thread switches
	// for each wake-up.
	LockThread bool

	// Kernel is for package simnet, which simulates a host. Nil is the real kernel.
	Kernel sys.Kernel

	// PanicReport is called, on the loop's goroutine, with the value and the
	// stack of each panic of a task, a timer or a handler; the loop then goes
	// on. Nil logs to log/slog, unless Loop.OnPanic has set a function. A
	// runtime.Goexit, which testing.T.FailNow calls, cannot be stopped: it ends
	// the loop and all that is on it, and Close returns an error that says so.
	PanicReport func(value any, stack []byte)

	// Crash lets a panic of a task, a timer or a handler end the program, as a
	// panic in a goroutine of the program's own would. No report is made then.
	Crash bool
}

// DefaultBusyPoll is the value that the kernel's documentation proposes for the
// sysctl net.core.busy_poll.
const DefaultBusyPoll = 50 * time.Microsecond

// NoBusyPoll, as Options.BusyPoll, has the loop sleep without polling before.
const NoBusyPoll time.Duration = -1

// withDefaults checks the options and fills in the defaults.
func (o Options) withDefaults() (Options, error) {
	for _, n := range []struct {
		name  string
		value *int
		usual int
	}{
		{"Events", &o.Events, 256},
		{"Expiries", &o.Expiries, 256},
		{"Tasks", &o.Tasks, 1024},
		{"TaskQueue", &o.TaskQueue, 1 << 16},
	} {
		if *n.value < 0 {
			return o, fmt.Errorf("loop: Options.%s is %d: it cannot be negative; 0 is %d", n.name, *n.value, n.usual)
		}
		if *n.value == 0 {
			*n.value = n.usual
		}
	}
	if o.Kernel != nil { // these ways to wait are ways of a thread
		o.BusyPoll, o.NoAlone, o.LockThread = NoBusyPoll, true, false
	}
	if o.BusyPoll == 0 {
		o.BusyPoll = DefaultBusyPoll
	}
	return o, nil
}
