package lisp

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// An Error says why a program failed, or why it could not be read.
type Error struct {
	File  string // as it was given to Eval, Load or load; may be empty
	Line  int    // of the innermost form that failed, from 1; 0 if it is not known
	Msg   string // what failed, without the place
	Kind  string // the condition that signal was given; empty of other errors
	Data  Value  // the data that signal was given; nil of other errors
	Err   error  // the cause; may be nil
	Trace []Call // the calls in progress, the innermost first; at most 100
}

// A Call is a call of a function written in Lisp.
type Call struct {
	Name string // of the function, or lambda
	File string // where it was called; may be empty
	Line int    // 0 if it is not known, as of a call by a function written in Go
}

// String says which function, and where it was called.
func (c Call) String() string {
	switch at := (&place{c.File, c.Line}); {
	case c.Line == 0:
		return "in " + c.Name
	default:
		return "in " + c.Name + ", called at " + at.String()
	}
}

// maxTrace bounds how many calls an Error keeps.
const maxTrace = 100

// Error returns the place and the message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return (&place{e.File, e.Line}).String() + ": " + e.Msg
}

// Backtrace returns the error, and a line for each call in progress: the innermost 20,
// of which those in a row that are alike are one line.
func (e *Error) Backtrace() string {
	const most = 20
	var b strings.Builder
	b.WriteString(e.Error())
	lines := 0
	for rest := e.Trace; len(rest) > 0; lines++ {
		if lines == most {
			b.WriteString("\n  ...")
			return b.String()
		}
		same := 1
		for same < len(rest) && rest[same] == rest[0] {
			same++
		}
		b.WriteString("\n  " + rest[0].String())
		if same > 1 {
			fmt.Fprintf(&b, ", and %d more such calls", same-1)
		}
		rest = rest[same:]
	}
	if len(e.Trace) == maxTrace {
		b.WriteString("\n  ...")
	}
	return b.String()
}

// String returns file:line, or line N where there is no file.
func (p *place) String() string {
	if p.file == "" {
		return fmt.Sprintf("line %d", p.line)
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// Unwrap returns the cause: the context's cause of an interrupted evaluation,
// ErrIncomplete of a text that ended too early, or the error of a Func.
func (e *Error) Unwrap() error { return e.Err }

// ErrIncomplete is wrapped by the error of a text that ends within a list or string.
var ErrIncomplete = errors.New("the text ends too early")

// ErrClosed is wrapped by the error of what an Interp's Close has interrupted.
var ErrClosed = errors.New("the interpreter is closed")

// An Exit is the error that the function exit ends an evaluation with.
type Exit struct{ Code int }

// Error says that the program wants to end.
func (e *Exit) Error() string { return fmt.Sprintf("exit %d", e.Code) }

// An interruption ends an evaluation whose context is done. A program cannot
// catch it: otherwise nothing could end a loop around catch-error.
type interruption struct{ cause error }

func (i *interruption) Error() string {
	if i.cause == context.Canceled {
		return "interrupted"
	}
	return "interrupted: " + i.cause.Error()
}

func (i *interruption) Unwrap() error { return i.cause }

// raise makes an error without a place. The compiler or a node adds the place.
func raise(format string, args ...any) error { return &Error{Msg: fmt.Sprintf(format, args...)} }

// wanted returns the error of a value that is not what was wanted.
func wanted(what string, got Value) error {
	return errors.New("want " + what + ", got " + brief(got))
}

// named puts the name of a function or form before an error that has none yet.
func named(name string, err error) error {
	switch err.(type) {
	case nil, *Error, *interruption, *Exit, *thrown:
		return err
	}
	return &Error{Msg: name + ": " + err.Error(), Err: err}
}

// locate gives an error the place of a form, unless it has one.
func locate(err error, at *place) error {
	var e *Error
	switch known := err.(type) {
	case *Error:
		if known.Line != 0 {
			return err
		}
		e = known
	case *thrown:
		return err
	default:
		e = &Error{Msg: err.Error(), Err: err}
	}
	if at != nil {
		e.File, e.Line = at.file, at.line
	}
	return e
}

// trace notes a call that an error ends. The error has a place already, or gets
// that of the call.
func trace(err error, name string, at *place) error {
	e, ok := locate(err, at).(*Error)
	if !ok {
		return err
	}
	if len(e.Trace) < maxTrace {
		c := Call{Name: name}
		if at != nil {
			c.File, c.Line = at.file, at.line
		}
		e.Trace = append(e.Trace, c)
	}
	return e
}

// A thrown value is on its way from throw to the catch of its tag.
type thrown struct{ tag, value Value }

func (t *thrown) Error() string { return "throw " + brief(t.tag) }

// catchable reports whether a program may handle an error.
func catchable(err error) bool {
	var i *interruption
	var x *Exit
	var c *thrown
	return !errors.As(err, &i) && !errors.As(err, &x) && !errors.As(err, &c)
}
