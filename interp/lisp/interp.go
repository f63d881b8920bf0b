package lisp

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Options say how an Interp is to be. The zero Options have the defaults.
type Options struct {
	// Stdout takes what a program prints, and Stderr the errors of threads that
	// nobody waits for. They are written to by one thread at a time, and a
	// write is not interrupted. Default: the process's.
	Stdout, Stderr io.Writer
	// MaxString is the size in bytes of a socket's input buffer when
	// make-instance is not told otherwise. Default: 4096.
	MaxString int
	// MaxDepth bounds the recursion of evaluations. Default: 20000, which take
	// some tens of megabytes of stack.
	MaxDepth int
	// MaxThreads bounds how many threads a program may have at a time.
	// Default: 10000.
	MaxThreads int
}

// An Interp is an interpreter: global variables, and the threads that share
// them. All its methods may be called by any goroutine at any time, also by a
// Func.
type Interp struct {
	opts    Options
	symbols sync.Map // string to *Symbol
	root    *env     // without variables: the environment of what is at top level
	out     sync.Mutex

	cleanupTime time.Duration // how long cleanup forms may go on after an interruption

	lastError *Symbol // *lastsocketerror*
	mainError cell    // its value in the main thread

	ctx      context.Context // done when the Interp is closed
	cancel   context.CancelCauseFunc
	mu       sync.Mutex // for closed and threads
	closed   bool
	threads  int
	finished sync.WaitGroup // the evaluations and threads in progress
}

// New makes an interpreter with all the functions of the package's documentation.
// It should be closed.
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
	in := &Interp{opts: opts, root: &env{}, cleanupTime: 5 * time.Second}
	in.ctx, in.cancel = context.WithCancelCause(context.Background())
	in.defineBase()
	return in
}

// Close interrupts all evaluations and threads, and returns when they have ended.
// Evaluations after it fail. It does not close the program's sockets: those are
// closed when they are collected. A Func must not call it.
func (in *Interp) Close() error {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.cancel(ErrClosed)
	in.finished.Wait()
	return nil
}

// begin counts an evaluation, or a thread that a program has started. It must be
// followed by end.
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
// one's value. When ctx is done the evaluation ends with an error that the
// context's cause is behind, also if it is blocked in a socket's method or in
// select; cleanup forms of unwind-protect still run, for five seconds at most.
//
// Several evaluations may run at the same time. Each is a thread of its own, but
// all have the *lastsocketerror* of the main thread.
func (in *Interp) Eval(ctx context.Context, text string) (Value, error) {
	return in.EvalSource(ctx, "", text)
}

// EvalSource is Eval; errors name the text as a file.
func (in *Interp) EvalSource(ctx context.Context, name, text string) (Value, error) {
	return in.run(ctx, func(t *Thread) (Value, error) { return t.source(name, text) })
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
	t := &Thread{in: in, lastError: &in.mainError}
	t.use(ctx)
	defer t.finish()
	return work(t)
}

// source evaluates a text.
func (t *Thread) source(name, text string) (v Value, err error) {
	for r := newReader(t.in, name, text); ; {
		form, more, err := r.next()
		if err != nil || !more {
			return v, err
		}
		if err = t.check(); err == nil {
			v, err = t.eval(form, t.in.root)
		}
		if err != nil {
			return nil, locate(err, &place{name, r.line})
		}
	}
}

// maxSource bounds the size of a file to load.
const maxSource = 16 << 20

func (t *Thread) load(path string) (Value, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSource+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSource {
		return nil, fmt.Errorf("%s: more than %d bytes", path, maxSource)
	}
	return t.source(path, string(text))
}

// Define makes a function that takes at least min and at most max arguments; a
// max below 0 is any number. An existing one of the name is replaced.
func (in *Interp) Define(name string, min, max int, f Func) error {
	return in.set(name, &Builtin{name, entry{min, max, func(t *Thread, args []Value) (Value, error) {
		v, err := f(t, args)
		if err != nil {
			return nil, err
		}
		return FromGo(v)
	}}})
}

// Set sets a global variable to a Go value, which becomes a Value as by FromGo.
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

// Get is a global variable's value. It tells whether there is one.
func (in *Interp) Get(name string) (Value, bool) { return in.main().global(in.intern(name)) }

// Names are those of the special forms and of the global variables that have a
// value, in order.
func (in *Interp) Names() []string {
	var names []string
	in.symbols.Range(func(name, symbol any) bool {
		if s := symbol.(*Symbol); s.special != nil || s.constant || s.value.Load() != nil {
			names = append(names, s.name)
		}
		return true
	})
	slices.Sort(names)
	return names
}

// main is a thread to look at variables with, not to evaluate by.
func (in *Interp) main() *Thread { return &Thread{in: in, lastError: &in.mainError} }

// intern is the symbol of a name.
func (in *Interp) intern(name string) *Symbol {
	if s, ok := in.symbols.Load(name); ok {
		return s.(*Symbol)
	}
	s, _ := in.symbols.LoadOrStore(name, &Symbol{name: name})
	return s.(*Symbol)
}

// symbol is what the name of a symbol is read as.
func (in *Interp) symbol(name string) Value {
	if name == "nil" {
		return nil
	}
	return in.intern(name)
}

// defineBase makes the global variables that every interpreter begins with.
func (in *Interp) defineBase() {
	for _, s := range []*Symbol{T, EOF, {name: "nil", constant: true}} {
		in.symbols.Store(s.name, s)
	}
	in.lastError = in.intern("*lastsocketerror*")
	for name, sp := range specials {
		in.intern(name).special = sp
	}
	for _, base := range []table{numberBase, listBase, stringBase, systemBase, threadBase, binaryBase, socketBase} {
		for name, e := range base {
			in.set(name, &Builtin{name, e})
		}
	}
	for name, e := range socketMethods { // accept is also socket-accept
		method := &Builtin{name, e}
		in.set(name, method)
		in.set("socket-"+name, method)
	}
	for name, flag := range flags {
		in.Set(name, flag)
	}
	in.Set("socket", socketClass)
}
