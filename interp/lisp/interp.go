package lisp

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure an Interp. The zero Options have the defaults.
type Options struct {
	// Stdout takes what a program prints, and Stderr the errors of threads that
	// no other thread joins. One thread at a time writes to them, and a
	// write is not interrupted. Default: the process's.
	Stdout, Stderr io.Writer
	// MaxString is the size in bytes of a socket's input buffer, unless
	// make-instance gets the keyword maxstring. Default: 4096.
	MaxString int
	// MaxDepth bounds the recursion of evaluations. Default: 20000, which needs some
	// tens of megabytes of stack.
	MaxDepth int
	// MaxThreads bounds the number of threads that a program has at a time.
	// Default: 10000.
	MaxThreads int
}

// An Interp is an interpreter: global variables, and the threads that share
// them. It is concurrency-safe. A Func may call its methods,
// except Close.
type Interp struct {
	opts    Options
	symbols sync.Map // string to *Symbol
	out     sync.Mutex

	regexps   regexpCache
	generics  sync.Map     // the functions that call methods of the program's classes, by their names
	generated atomic.Int64 // number of symbols that gensym has made
	required  sync.Map     // path to true

	cleanupTime time.Duration // limits cleanup forms after an interruption

	progn, quote, quasiquote, unquote, splice *Symbol

	rootClass, fileClass, socketClass *Class

	lastError *Symbol // *lastsocketerror*
	mainError cell    // its value in the main thread

	ctx      context.Context // done when the Interp is closed
	cancel   context.CancelCauseFunc
	mu       sync.Mutex // for closed and threads
	closed   bool
	threads  int
	finished sync.WaitGroup // the evaluations and threads in progress
}

// New makes an interpreter with all the functions of the language. The caller should
// close it.
func New(opts Options) *Interp {
	if opts.Stdout == nil {
		opts.Stdout = os.Stdout
	}
	if opts.Stderr == nil {
		opts.Stderr = os.Stderr
	}
	opts.MaxString = cmp.Or(opts.MaxString, 4096)
	opts.MaxDepth = cmp.Or(opts.MaxDepth, 20000)
	opts.MaxThreads = cmp.Or(opts.MaxThreads, 10000)
	in := &Interp{opts: opts, cleanupTime: 5 * time.Second}
	in.ctx, in.cancel = context.WithCancelCause(context.Background())
	in.defineBase()
	return in
}

// Close interrupts all evaluations and threads, and returns when they have ended.
// Later evaluations fail. Close does not close the program's sockets: the collector
// closes them. A Func must not call Close.
func (in *Interp) Close() error {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.cancel(ErrClosed)
	in.finished.Wait()
	return nil
}

// begin counts an evaluation, or a thread that a program has started. After a
// nil error the caller must call end.
func (in *Interp) begin(thread bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return &interruption{ErrClosed}
	case thread && in.threads >= in.opts.MaxThreads:
		return fmt.Errorf("there are %d already", in.opts.MaxThreads)
	case thread:
		in.threads++
	}
	in.finished.Add(1)
	return nil
}

func (in *Interp) end(thread bool) {
	if thread {
		in.mu.Lock()
		in.threads--
		in.mu.Unlock()
	}
	in.finished.Done()
}

// Eval evaluates the forms of a text, one after the other, and returns the last
// one's value. When ctx is done the evaluation ends, also if it is blocked in a
// socket's method or in select. Its error wraps the context's cause. The cleanup forms
// of unwind-protect still run, for at most five seconds.
//
// Several evaluations may run at the same time. Each runs as a thread of its own, but
// all share one *lastsocketerror*.
func (in *Interp) Eval(ctx context.Context, text string) (Value, error) {
	return in.EvalSource(ctx, "", text)
}

// EvalSource does what Eval does; errors name the text as a file.
func (in *Interp) EvalSource(ctx context.Context, name, text string) (Value, error) {
	return in.run(ctx, func(t *Thread) (Value, error) { return t.source(name, text) })
}

// EvalEach does what EvalSource does, and calls each with the value of each form. An
// error of each ends the evaluation.
func (in *Interp) EvalEach(ctx context.Context, name, text string, each func(Value) error) error {
	_, err := in.run(ctx, func(t *Thread) (Value, error) { return t.sourceEach(name, text, each) })
	return err
}

// Load evaluates a file, as Eval does a text.
func (in *Interp) Load(ctx context.Context, path string) (Value, error) {
	return in.run(ctx, func(t *Thread) (Value, error) { return t.load(path) })
}

func (in *Interp) run(ctx context.Context, work func(*Thread) (Value, error)) (Value, error) {
	if err := in.begin(false); err != nil {
		return nil, locate(err, nil)
	}
	defer in.end(false)
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(in.ctx, func() { cancel(ErrClosed) })()
	t := in.main()
	t.use(ctx)
	defer t.finish()
	return work(t)
}

// source evaluates a text.
func (t *Thread) source(name, text string) (Value, error) {
	return t.sourceEach(name, text, func(Value) error { return nil })
}

func (t *Thread) sourceEach(name, text string, each func(Value) error) (v Value, err error) {
	for r := newReader(t.in, name, text); ; {
		form, more, err := r.next()
		if err != nil || !more {
			return v, err
		}
		if err = t.check(); err == nil {
			v, err = t.evalForm(form, &place{name, r.line})
		}
		if err == nil {
			err = each(v)
		}
		if err != nil {
			return nil, locate(err, &place{name, r.line})
		}
	}
}

// maxSource bounds the size of a file to load.
const maxSource = 16 << 20

func (t *Thread) load(path string) (Value, error) {
	text, err := readSource(path)
	if err != nil {
		return nil, err
	}
	outer := t.directory
	t.directory = filepath.Dir(path)
	defer func() { t.directory = outer }()
	return t.source(path, text)
}

// readSource reads a file, and closes it before anything in it is evaluated.
func readSource(path string) (string, error) {
	file, err := openFile(path, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSource+1))
	if err == nil && len(text) > maxSource {
		err = fmt.Errorf("%s: more than %d bytes", path, maxSource)
	}
	return string(text), err
}

// Define makes a function that takes at least min and at most max arguments. A max
// below 0 means any number. Define replaces an existing function of the name. A panic
// of f becomes an error in the program that calls it.
func (in *Interp) Define(name string, min, max int, f Func) error {
	return in.set(name, &Builtin{
		name:  name,
		usage: "(" + name + " ...)",
		doc:   "is a function of the program that has this interpreter.",
		entry: entry{min, max, func(t *Thread, args []Value) (Value, error) {
			v, err := recovered(f, t, args)
			if err != nil {
				return nil, err
			}
			return FromGo(v)
		}},
	})
}

// recovered calls f, and turns a panic into an error.
func recovered(f Func, t *Thread, args []Value) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f(t, args)
}

// Set sets a global variable to a Go value, which FromGo converts.
func (in *Interp) Set(name string, v any) error {
	value, err := FromGo(v)
	if err != nil {
		return err
	}
	return in.set(name, value)
}

func (in *Interp) set(name string, v Value) error {
	s := in.intern(name)
	if err := settable(s); err != nil {
		return err
	}
	in.main().setGlobal(s, v)
	return nil
}

// Get returns a global variable's value, and whether it has one.
func (in *Interp) Get(name string) (Value, bool) { return in.main().global(in.intern(name)) }

// main returns a thread with the *lastsocketerror* that evaluations from Go share.
func (in *Interp) main() *Thread { return in.thread(&in.mainError) }

// thread makes a thread, which has no context yet.
func (in *Interp) thread(lastError *cell) *Thread {
	return &Thread{in: in, lastError: lastError, maxDepth: in.opts.MaxDepth}
}

// intern returns the symbol of a name.
func (in *Interp) intern(name string) *Symbol {
	if s, ok := in.symbols.Load(name); ok {
		return s.(*Symbol)
	}
	s, _ := in.symbols.LoadOrStore(name, &Symbol{name: name})
	return s.(*Symbol)
}

// symbol returns the value that the reader makes of a symbol's name: a symbol, or nil
// for the name nil.
func (in *Interp) symbol(name string) Value {
	if name == "nil" {
		return nil
	}
	return in.intern(name)
}
