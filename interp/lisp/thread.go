package lisp

import (
	"context"
	"errors"
	"time"

	"github.com/seed-2334f180/weir/interp/builtins"
)

// A Thread evaluates forms. Each evaluation from Go has one, and each form thread in
// progress has one. The value of the form thread is its Thread.
type Thread struct {
	in        *Interp
	ctx       context.Context
	done      <-chan struct{} // of ctx
	ticks     int             // calls and turns of loops until the next check of done
	depth     int             // of recursion
	maxDepth  int
	lastError *cell                // *lastsocketerror*
	stack                          // the frames of the calls in progress
	ints      *[intsPerBlock]int64 // memory for integers
	intsUsed  uint
	boxes     *[boxesPerBlock]Value
	boxesUsed uint
	built     []byte  // the last string that concat made
	catches   []Value // the tags of the catch forms in progress
	directory string  // of the file in loading; require looks here first
	caught    *Error  // the last error that was handled
	sets      builtins.Sets
	grace     context.Context // limits the cleanups; nil before the first
	endGrace  func()

	tailFunction *Closure // the tail call that a node has returned
	tailArgs     frame

	// For a thread that the form thread started:
	cancel  context.CancelCauseFunc
	ended   chan struct{} // closed when the fields below are final
	result  Value
	failure error
	awaited cell // t when another thread waits for it
}

// String returns #<thread running> or #<thread ended>.
func (t *Thread) String() string {
	select {
	case <-t.ended:
		return "#<thread ended>"
	default:
		return "#<thread running>"
	}
}

// Context returns a context that is done when the evaluation must end. A Func that waits
// must return then.
func (t *Thread) Context() context.Context { return t.ctx }

// Interp returns the interpreter that the thread belongs to.
func (t *Thread) Interp() *Interp { return t.in }

func (t *Thread) use(ctx context.Context) { t.ctx, t.done = ctx, ctx.Done() }

// ticksPerCheck is the number of calls and turns of loops between two checks whether
// the evaluation must end.
const ticksPerCheck = 64

// tick returns an error if the evaluation must end. It checks once in ticksPerCheck
// calls.
func (t *Thread) tick() error {
	if t.ticks--; t.ticks > 0 {
		return nil
	}
	return t.check()
}

// check returns an error if the evaluation must end.
func (t *Thread) check() error {
	select {
	case <-t.done:
		t.ticks = 0 // the next tick checks again
		return &interruption{context.Cause(t.ctx)}
	default:
		t.ticks = ticksPerCheck
		return nil
	}
}

// shielded runs a cleanup, which an interruption does not end. After an interruption
// all cleanups of the thread share cleanupTime. The end of that time ends them.
func (t *Thread) shielded(cleanup func() error) error {
	if t.grace == nil {
		t.startGrace()
	}
	outer := t.ctx
	t.use(t.grace)
	defer t.use(outer)
	return cleanup()
}

// startGrace makes the context of cleanups. It ends cleanupTime after the thread's
// context. The caller is not in a cleanup.
func (t *Thread) startGrace() {
	interrupted := t.ctx
	grace, cancel := context.WithCancelCause(context.WithoutCancel(interrupted))
	stop := context.AfterFunc(interrupted, func() {
		expired := time.NewTimer(t.in.cleanupTime)
		defer expired.Stop()
		select {
		case <-expired.C:
			cancel(context.Cause(interrupted))
		case <-grace.Done():
		}
	})
	t.grace = grace
	t.endGrace = func() {
		stop()
		cancel(nil)
	}
}

// finish releases the resources of the thread.
func (t *Thread) finish() {
	if t.endGrace != nil {
		t.endGrace()
	}
}

func specialThread(c *compiler, body *List, _ bool) (emitter, error) {
	code, err := c.lambda("thread", nil, body)
	if err != nil {
		return nil, err
	}
	at := c.at
	return func() node { return &threadNode{code(), at} }, nil
}

// threadNode starts a thread, which shares the variables that are visible at the form.
// The thread ends with its body, with the interpreter, or by interrupt.
type threadNode struct {
	code *lambda
	at   *place
}

func (n *threadNode) eval(t *Thread, f frame) (Value, error) {
	child, err := t.in.startThread(n.code.close(f))
	if err != nil {
		return nil, locate(named("thread", err), n.at)
	}
	return child, nil
}

func (in *Interp) startThread(work *Closure) (*Thread, error) {
	if err := in.begin(true); err != nil {
		return nil, err
	}
	child := in.thread(new(cell))
	child.ended = make(chan struct{})
	ctx, cancel := context.WithCancelCause(in.ctx)
	child.cancel = cancel
	child.use(ctx)
	go func() {
		defer in.end(true)
		child.result, child.failure = child.applyClosure(work, nil)
		child.finish()
		cancel(nil)
		close(child.ended)
		if child.failure != nil && catchable(child.failure) && child.awaited.get() == nil {
			in.print(in.opts.Stderr, "thread: "+backtrace(child.failure)+"\n")
		}
	}()
	return child, nil
}

// backtrace returns an error with the calls that were in progress.
func backtrace(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Backtrace()
	}
	return err.Error()
}

// A Lock is a mutex: one thread at a time evaluates the bodies of the forms with-lock
// that use it.
type Lock struct {
	turn   chan struct{} // holds one element while the lock is free
	holder cell          // the *Thread that has it
}

// String returns #<lock>.
func (l *Lock) String() string { return "#<lock>" }

func specialWithLock(c *compiler, args *List, _ bool) (emitter, error) {
	at := c.at
	return c.headAndBody(args, false, func(lock, body node) node { return &lockNode{lock, body, at} })
}

type lockNode struct {
	lock, body node
	at         *place
}

func (n *lockNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.lock.eval(t, f)
	if err != nil {
		return nil, err
	}
	l, err := arg[*Lock](v)
	if err == nil {
		err = l.take(t)
	}
	if err != nil {
		return nil, locate(named("with-lock", err), n.at)
	}
	v, err = n.body.eval(t, f)
	l.holder.set(nil)
	l.turn <- struct{}{}
	return v, err
}

// take waits for the lock.
func (l *Lock) take(t *Thread) error {
	if l.holder.get() == Value(t) {
		return errors.New("this thread has the lock already")
	}
	select {
	case <-l.turn:
	case <-t.done:
		return t.check()
	}
	l.holder.set(t)
	return nil
}

var threadChapter = chapter{
	title: "Threads",
	intro: "The special form thread starts a thread. All threads share the global variables, and functions share the local variables of the place where they were made. To read or to set a variable is atomic; to read it and then set it is not, and needs a lock.",
	definitions: []definition{
		{"(join THREAD)", "waits for the end of a thread and returns its value. If the thread has failed, join raises its error.", f1(join)},
		{"(interrupt THREAD)", "interrupts a thread, as Ctrl-C does. The thread ends after its cleanup forms.", f1(func(_ *Thread, other *Thread) (Value, error) { other.cancel(context.Canceled); return nil, nil })},
		{"(threadp VALUE)", "returns t if VALUE is a thread.", is[*Thread]()},
		{"(make-lock)", "returns a lock, for with-lock.", entry{0, 0, makeLock}},
		{"(make-queue [BOUND])", "returns a queue for up to BOUND values. Without BOUND it is for 1024 values.", f1(makeQueue).with(1)},
		{"(queue-put QUEUE VALUE [MILLISECONDS])", "appends a value to a queue. While the queue is full, it waits, for at most MILLISECONDS. It returns t, or nil after that time or if the queue is closed.", f3(queuePut).with(1)},
		{"(queue-get QUEUE [MILLISECONDS [DEFAULT]])", "removes the first value of a queue and returns it. While the queue is empty, it waits, for at most MILLISECONDS. It returns DEFAULT after that time, and if the queue is closed and empty.", f3(queueGet).with(2)},
		{"(queue-length QUEUE)", "returns the number of values in a queue.", f1(func(_ *Thread, q *Queue) (Value, error) { return int64(len(q.values)), nil })},
		{"(queue-close QUEUE)", "closes a queue. It takes no further values, and queue-get returns those that are left.", f1(queueClose)},
	},
}

func makeLock(*Thread, []Value) (Value, error) {
	l := &Lock{turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l, nil
}

// join waits for the end of a thread. If the thread failed, join returns its error.
func join(t *Thread, other *Thread) (Value, error) {
	if other == t {
		return nil, errors.New("a thread cannot wait for itself")
	}
	other.awaited.set(T)
	select {
	case <-other.ended:
	case <-t.done:
		return nil, t.check()
	}
	if other.failure != nil {
		return nil, raise("thread: %s", other.failure)
	}
	return other.result, nil
}
