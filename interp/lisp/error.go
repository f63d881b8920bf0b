package lisp

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// An Error describes why a program failed, or why the reader rejected it.
type Error struct {
	File  string // the name that Eval, Load or load was given; may be empty
	Line  int    // of the innermost form that failed, from 1; 0 if it is not known
	Msg   string // the message, without the place
	Kind  string // the condition that signal was given; empty for other errors
	Data  Value  // the data that signal was given; nil for other errors
	Err   error  // the cause; may be nil
	Trace []Call // the calls in progress, the innermost first; at most 100
}

// A Call is a call of a function written in Lisp.
type Call struct {
	Name string // of the function, or lambda
	File string // where it was called; may be empty
	Line int    // 0 if it is not known, as for a call by a function written in Go
}

// String returns the name of the function and the place of the call.
func (c Call) String() string {
	switch at := (&place{c.File, c.Line}); {
	case c.Line == 0:
		return "in " + c.Name
	default:
		return "in " + c.Name + ", called at " + at.String()
	}
}

// maxTrace bounds the number of calls that an Error keeps.
const maxTrace = 100

// Error returns the place and the message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return (&place{e.File, e.Line}).String() + ": " + e.Msg
}

// Backtrace returns the error, and a line for each call in progress, the innermost
// first. Equal calls in a row share a line. There are at most 20 lines of calls.
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

// ErrIncomplete is the cause of the error of a text that ends within a list or string.
var ErrIncomplete = errors.New("the text ends too early")

// ErrClosed is the cause of the error of an evaluation that Close has interrupted.
var ErrClosed = errors.New("the interpreter is closed")

// An Exit is the error of an evaluation that the function exit has ended.
type Exit struct{ Code int }

// Error returns "exit" and the status.
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

// raise returns an error without a place. The compiler or a node adds the place.
func raise(format string, args ...any) error { return &Error{Msg: fmt.Sprintf(format, args...)} }

// wanted returns the error for a value of a wrong kind.
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

// trace adds a call to the backtrace of an error. If the error has no place, it gets
// the place of the call.
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

// A thrown carries a value from throw to the catch of the same tag.
type thrown struct{ tag, value Value }

func (t *thrown) Error() string { return "throw " + brief(t.tag) }

// catchable reports whether a program may handle an error.
func catchable(err error) bool {
	var i *interruption
	var x *Exit
	var c *thrown
	return !errors.As(err, &i) && !errors.As(err, &x) && !errors.As(err, &c)
}
