// Package js runs JavaScript programs that use the network, in the manner of Node's
// module net: goja executes them, and Weir's loop calls their functions. It is the
// worked example of docs/embedding.md.
//
// A program has require("net"), require("events"), Buffer, console, setTimeout and its
// kin, and process with argv and exit. The file net.js is the part of these that is
// written in JavaScript. All of a program runs on the goroutine of one loop, so it
// needs no lock.
package js

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dop251/goja"
	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// Options are those of a program. The zero Options have the defaults.
type Options struct {
	// Stdout gets what console.log prints, and Stderr what console.error prints.
	// Default: the process's.
	Stdout, Stderr io.Writer
	// Args are process.argv, after the names of the interpreter and of the file.
	Args []string
}

// An Exit is the error of a program that has called process.exit.
type Exit struct{ Code int }

// Error returns "exit" and the code.
func (e *Exit) Error() string { return fmt.Sprintf("exit %d", e.Code) }

// An Uncaught is the error of a program that has not caught an exception. Its text has
// the exception and the calls in progress, with file, line and column of each.
type Uncaught struct{ Text string }

// Error returns the text.
func (e *Uncaught) Error() string { return e.Text }

// A program is a JavaScript program that runs. After the start, the loop's goroutine
// alone uses the fields that are not constant.
type program struct {
	opts     Options
	ctx      context.Context // done when the program has ended
	loop     *loop.Loop
	server   *server.Server // of all connections
	vm       *goja.Runtime
	hooks    hooks
	pending  int                        // timers, listeners and connections: what keeps the program alive
	rejected map[*goja.Promise]struct{} // the promises whose rejection the program has not handled
	over     bool                       // the program has ended; nothing of it runs any more
	ended    chan error                 // gets the program's error
	others   sync.WaitGroup             // the goroutines that connect or accept
}

// hooks are the functions of net.js that the loop's callbacks call.
type hooks struct {
	Accepted, Connected, Data, Drain, End, Closed, Listening goja.Callable
}

//go:embed net.js
var library string

// maxCalls bounds the depth of calls. Beyond it goja ends the program.
const maxCalls = 10000

// Run runs the source of a program; its name is in errors. It returns when the program
// waits for nothing any more, calls process.exit, or does not catch an exception; or when
// ctx is done, whose cause it then returns. Run resets the connections that are open then.
func Run(ctx context.Context, name, source string, opts Options) error {
	group, err := loop.NewGroup(1, nil, loop.Options{})
	if err != nil {
		return err
	}
	defer group.Close()
	opts.Stdout, opts.Stderr = cmp.Or[io.Writer](opts.Stdout, os.Stdout), cmp.Or[io.Writer](opts.Stderr, os.Stderr)
	p := &program{opts: opts, loop: group.Loops()[0], vm: goja.New(), ended: make(chan error, 1), rejected: map[*goja.Promise]struct{}{}}
	inner, cancel := context.WithCancel(ctx)
	p.ctx = inner
	defer p.others.Wait()
	defer cancel()
	p.server = p.newServer(group)
	defer p.server.Close()
	defer p.loop.OnPanic(func(value any, _ []byte) { p.end(fmt.Errorf("panic: %v", value)) })()
	defer context.AfterFunc(ctx, func() {
		p.vm.Interrupt(context.Cause(ctx)) // ends a function that runs
		p.post(func() { p.end(context.Cause(ctx)) })
	})()
	p.post(func() { p.settle(p.start(name, source)) })
	err = <-p.ended
	if exit, ok := err.(*Exit); ok && exit.Code == 0 {
		return nil
	}
	return err
}

// start makes the program's objects and runs its file.
func (p *program) start(name, source string) error {
	vm := p.vm
	vm.SetFieldNameMapper(goja.UncapFieldNameMapper())
	vm.SetMaxCallStackSize(maxCalls)
	vm.SetPromiseRejectionTracker(func(promise *goja.Promise, what goja.PromiseRejectionOperation) {
		if delete(p.rejected, promise); what == goja.PromiseRejectionReject {
			p.rejected[promise] = struct{}{}
		}
	})
	made, err := vm.RunScript("net.js", library)
	if err != nil {
		return err
	}
	install, _ := goja.AssertFunction(made)
	found, err := install(nil, vm.GlobalObject(), vm.ToValue(natives{p}), vm.ToValue(append([]string{"weir-js", name}, p.opts.Args...)))
	if err == nil {
		err = vm.ExportTo(found, &p.hooks)
	}
	if err == nil {
		_, err = vm.RunScript(name, source)
	}
	return err
}

// post has f called on the loop's goroutine, unless the loop is closed.
func (p *program) post(f func()) { _ = p.loop.PostUnbounded(f) }

// call calls a function of the program from a callback of the loop.
func (p *program) call(f goja.Callable, args ...any) {
	if p.over {
		return
	}
	values := make([]goja.Value, len(args))
	for i, a := range args {
		values[i] = p.vm.ToValue(a)
	}
	_, err := f(goja.Undefined(), values...)
	p.settle(err)
}

// settle ends the program after a call, if the call has failed or nothing is left to do.
func (p *program) settle(err error) {
	var interrupted *goja.InterruptedError
	var thrown *goja.Exception
	switch {
	case errors.As(err, &interrupted):
		p.end(interrupted.Unwrap())
	case errors.As(err, &thrown):
		p.end(&Uncaught{thrown.String()})
	case err != nil:
		p.end(&Uncaught{err.Error()})
	case len(p.rejected) > 0:
		for promise := range p.rejected {
			text := promise.Result().String()
			if o, ok := promise.Result().(*goja.Object); ok && o.Get("stack") != nil {
				text = o.Get("stack").String()
			}
			p.end(&Uncaught{"Uncaught (in promise) " + text})
		}
	case p.pending == 0:
		// The end of the context ends the accepts and connects in progress, maybe before
		// it ends the program.
		p.end(context.Cause(p.ctx))
	}
}

// end ends the program. Only the first call counts.
func (p *program) end(err error) {
	if !p.over {
		p.over = true
		p.ended <- err
	}
}

// natives are the functions that net.js gets. There each name begins with a small letter.
type natives struct{ p *program }

// A timer is what native.after returns.
type timer struct {
	p     *program
	timer *loop.Timer
	over  bool
}

// After calls f after some milliseconds. As in Node, less than 1 is 1.
func (n natives) After(f goja.Callable, ms float64) *timer {
	t := &timer{p: n.p}
	t.timer = n.p.loop.NewTimer(func() { t.Stop(); n.p.call(f) })
	d, _ := builtins.Duration(ms, time.Millisecond)
	t.timer.Reset(max(d, time.Millisecond))
	n.p.pending++
	return t
}

// Stop stops the timer, if it has not fired.
func (t *timer) Stop() {
	if !t.over {
		t.over = true
		t.timer.Stop()
		t.p.pending--
	}
}

// Print and PrintError write a line. As in Node, an error is not reported.
func (n natives) Print(line string)      { fmt.Fprintln(n.p.opts.Stdout, line) }
func (n natives) PrintError(line string) { fmt.Fprintln(n.p.opts.Stderr, line) }

// Exit ends the program.
func (n natives) Exit(code int) { n.p.vm.Interrupt(&Exit{code}) }
