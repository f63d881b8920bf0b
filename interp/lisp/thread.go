package lisp

import (
	"context"
	"errors"
	"time"
)

// A Thread evaluates. There is one for each evaluation from Go, and one for each
// form thread in progress, which is a Value.
type Thread struct {
	in        *Interp
	ctx       context.Context
	done      <-chan struct{} // of ctx
	depth     int             // of recursion
	stack     []Value         // arguments of the calls in progress
	lastError *cell           // *lastsocketerror*
	sets      selectSets
	grace     context.Context // of cleanups; nil before the first
	endGrace  func()

	// Of one that the form thread started:
	cancel  context.CancelCauseFunc
	ended   chan struct{} // closed when the rest is known
	result  Value
	failure error
	awaited cell // t when another thread waits for it
}

// String is #<thread running> or #<thread ended>.
func (t *Thread) String() string {
	select {
	case <-t.ended:
		return "#<thread ended>"
	default:
		return "#<thread running>"
	}
}

// Context is done when the evaluation is to end: what a Func waits for should
// end then, too.
func (t *Thread) Context() context.Context { return t.ctx }

// Interp is the interpreter that the thread belongs to.
func (t *Thread) Interp() *Interp { return t.in }

func (t *Thread) use(ctx context.Context) { t.ctx, t.done = ctx, ctx.Done() }

// check returns an error when the evaluation is to end.
func (t *Thread) check() error {
	select {
	case <-t.done:
		return &interruption{context.Cause(t.ctx)}
	default:
		return nil
	}
}

// shielded runs a cleanup, which an interruption does not end, but the end of the
// time that all cleanups of an interrupted thread have together.
func (t *Thread) shielded(cleanup func() error) error {
	if t.grace == nil {
		t.startGrace()
	}
	outer := t.ctx
	t.use(t.grace)
	defer t.use(outer)
	return cleanup()
}

// startGrace makes the context of cleanups, which is done a while after that of
// the thread. It is called outside of any cleanup.
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

// finish frees what the thread has made for itself.
func (t *Thread) finish() {
	if t.endGrace != nil {
		t.endGrace()
	}
}

// formThread starts a thread, which sees the variables of the place where it was
// started. It ends with its body, with the interpreter, or by interrupt.
func formThread(t *Thread, body *List, e *env) (Value, *env, error) {
	in := t.in
	if err := in.begin(true); err != nil {
		return nil, nil, err
	}
	child := &Thread{in: in, lastError: new(cell), ended: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(in.ctx)
	child.cancel = cancel
	child.use(ctx)
	go func() {
		defer in.end(true)
		child.result, child.failure = child.progn(body, e)
		child.finish()
		cancel(nil)
		close(child.ended)
		if child.failure != nil && catchable(child.failure) && child.awaited.get() == nil {
			in.print(in.opts.Stderr, "thread: "+child.failure.Error()+"\n")
		}
	}()
	return child, nil, nil
}

// A Lock lets one thread at a time into the forms with-lock that have it.
type Lock struct {
	turn   chan struct{} // holds one element while the lock is free
	holder cell          // the *Thread that has it
}

// String is #<lock>.
func (l *Lock) String() string { return "#<lock>" }

func formWithLock(t *Thread, args *List, e *env) (Value, *env, error) {
	v, err := t.eval(args.head, e)
	if err != nil {
		return nil, nil, err
	}
	l, err := arg[*Lock](v)
	if err != nil {
		return nil, nil, err
	}
	if l.holder.get() == Value(t) {
		return nil, nil, errors.New("this thread has the lock already")
	}
	select {
	case <-l.turn:
	case <-t.done:
		return nil, nil, t.check()
	}
	l.holder.set(t)
	v, err = t.progn(args.tail, e)
	l.holder.set(nil)
	l.turn <- struct{}{}
	return v, nil, err
}

var threadBase = table{
	"make-lock": {0, 0, makeLock},
	"threadp":   is[*Thread](),
	"join":      f1(join),
	"interrupt": f1(func(_ *Thread, other *Thread) (Value, error) { other.cancel(context.Canceled); return nil, nil }),
}

func makeLock(*Thread, []Value) (Value, error) {
	l := &Lock{turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l, nil
}

// join waits for a thread's end. The thread's error is the caller's, too.
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
