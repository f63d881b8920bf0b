package lisp_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

const patience = weirtest.Patience

func TestMain(m *testing.M) { weirtest.Main(m) }

// An interpreter is an Interp for a test, with its output.
type interpreter struct {
	*lisp.Interp
	t           testing.TB
	out, errors output
}

type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func start(t testing.TB) *interpreter { return startWith(t, lisp.Options{}) }

func startWith(t testing.TB, opts lisp.Options) *interpreter {
	in := &interpreter{t: t}
	opts.Stdout, opts.Stderr = &in.out, &in.errors
	in.Interp = lisp.New(opts)
	t.Cleanup(func() { require.NoError(t, in.Close()) })
	return in
}

// value evaluates a text that must not fail, with patience.
func (in *interpreter) value(text string) lisp.Value {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v, err := in.Eval(ctx, text)
	require.NoError(in.t, err, text)
	return v
}

// text evaluates a text, and returns the value as it is printed.
func (in *interpreter) text(text string) string {
	in.t.Helper()
	return lisp.Print(in.value(text))
}

// is evaluates a text and compares the value as it is printed.
func (in *interpreter) is(want, text string) {
	in.t.Helper()
	require.Equal(in.t, want, lisp.Print(in.value(text)), text)
}

// fails evaluates a text that must fail, and compares a part of the message.
func (in *interpreter) fails(want, text string) {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v, err := in.Eval(ctx, text)
	require.Error(in.t, err, "%s is %s", text, lisp.Print(v))
	require.Contains(in.t, err.Error(), want, text)
	var e *lisp.Error
	require.ErrorAs(in.t, err, &e)
}

// set sets a global variable of the program.
func (in *interpreter) set(name string, v any) {
	in.t.Helper()
	require.NoError(in.t, in.Set(name, v))
}

// sockets makes two connected TCP sockets, a and b.
const sockets = `
(setq l (make-instance socket 'inet 'stream 0 'address "127.0.0.1" 'port 0))
(listen l 5)
(setq a (make-instance socket 'inet 'stream 0))
(connect a "127.0.0.1" (get l 'port))
(setq b (accept l))`
