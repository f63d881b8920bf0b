package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-2334f180/weir/poller"
)

// An Option changes how a Loop works. New refuses one that is nil or out of
// range.
type Option func(*options) error

type options struct {
	strategy    poller.Strategy
	strategySet bool
	events      int
	expiries    int
	taskBudget  int
	queue       int
	busyPoll    time.Duration
	lockThread  bool
	crash       bool
	report      func(v any, stack []byte)
}

func collect(opts []Option) (options, error) {
	o := options{events: 256, expiries: 256, taskBudget: 1024, queue: 1 << 16, busyPoll: DefaultBusyPoll, report: logPanic}
	for _, opt := range opts {
		if opt == nil {
			return o, errors.New("loop: an option is nil")
		}
		if err := opt(&o); err != nil {
			return o, fmt.Errorf("loop: %w", err)
		}
	}
	return o, nil
}

func logPanic(v any, stack []byte) {
	slog.Error("weir: a task on the event loop panicked", "panic", v, "stack", string(stack))
}

// WithStrategy sets how the loop sleeps. Without it the loop parks in the Go
// scheduler where that works, and blocks in epoll_wait(2) elsewhere.
func WithStrategy(s poller.Strategy) Option {
	return func(o *options) error {
		o.strategy, o.strategySet = s, true
		return nil
	}
}

// WithEvents sets how many events one turn takes from the kernel at most. The
// default is 256.
func WithEvents(n int) Option { return atLeastOne("events", n, func(o *options) { o.events = n }) }

// WithExpiries sets how many timers one turn fires at most. The default is 256.
func WithExpiries(n int) Option {
	return atLeastOne("expiries", n, func(o *options) { o.expiries = n })
}

// WithTasks sets how many posted tasks one turn runs at most. The default is
// 1024.
func WithTasks(n int) Option { return atLeastOne("tasks", n, func(o *options) { o.taskBudget = n }) }

// WithTaskQueue bounds the tasks that are posted and not yet run. The default
// is 65536.
func WithTaskQueue(n int) Option {
	return atLeastOne("task queue", n, func(o *options) { o.queue = n })
}

func atLeastOne(what string, n int, set func(*options)) Option {
	return func(o *options) error {
		if n < 1 {
			return fmt.Errorf("%s of %d: at least 1 is needed", what, n)
		}
		set(o)
		return nil
	}
}

// DefaultBusyPoll is what the kernel's own documentation proposes for the
// sysctl net.core.busy_poll.
const DefaultBusyPoll = 50 * time.Microsecond

// WithBusyPoll sets for how long at most the loop polls before it sleeps. It
// does so only while two in three of such polls are of use: when requests
// follow one another within that time, and to sleep between them would take
// longer. It does not where what it waits for comes from goroutines of its own
// process, which it would keep from running: it finds that out by trial. A loop
// that polls takes processor time meanwhile: where that is limited, or the load
// is judged by it, 0 has the loop always sleep. The default is DefaultBusyPoll.
func WithBusyPoll(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return fmt.Errorf("busy poll of %v: it cannot be negative", d)
		}
		o.busyPoll = d
		return nil
	}
}

// WithLockedThread keeps the loop on one operating system thread. It is meant
// for the Blocking strategy: a parked loop would pay two thread switches for
// each wake-up.
func WithLockedThread() Option {
	return func(o *options) error { o.lockThread = true; return nil }
}

// WithPanicReport has f told of a panic in a task or timer, after which the
// loop goes on. It is called on the loop. The default logs to log/slog.
// (runtime.Goexit, which testing.T.FailNow calls, cannot be stopped: it ends the
// loop with all that is on it, and Close returns an error that says so.)
func WithPanicReport(f func(v any, stack []byte)) Option {
	return func(o *options) error {
		if f == nil {
			return errors.New("the panic report is nil")
		}
		o.report = f
		return nil
	}
}

// WithCrash lets a panic in a task or timer end the program, as a panic in a
// goroutine of the caller's own would.
func WithCrash() Option {
	return func(o *options) error { o.crash = true; return nil }
}
