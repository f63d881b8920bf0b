package lisp

import (
	"context"
	"errors"
	"fmt"
)

// An Error is why a program, or the reading of one, failed.
type Error struct {
	File string // as it was given to Eval, Load or load; may be empty
	Line int    // of the innermost form that failed, from 1; 0 if it is not known
	Msg  string // what failed, without the place
	Err  error  // what is behind it; may be nil
}

// Error is the place and the message.
func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return e.Msg
	case e.File == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// Unwrap is what is behind the error: of an interrupted evaluation the context's
// cause, ErrIncomplete if the text ended too early, the error of a Func.
func (e *Error) Unwrap() error { return e.Err }

// ErrIncomplete is behind the error of a text that ends within a list or string.
var ErrIncomplete = errors.New("the text ends too early")

// ErrClosed is behind the error of what an Interp's Close has interrupted.
var ErrClosed = errors.New("the interpreter is closed")

// An Exit is the error that the function exit ends an evaluation with.
type Exit struct{ Code int }

// Error says that the program wants to end.
func (e *Exit) Error() string { return fmt.Sprintf("exit %d", e.Code) }

// An interruption ends an evaluation whose context is done. A program cannot
// catch it, or an endless loop around catch-error could not be ended.
type interruption struct{ cause error }

func (i *interruption) Error() string {
	if i.cause == context.Canceled {
		return "interrupted"
	}
	return "interrupted: " + i.cause.Error()
}

func (i *interruption) Unwrap() error { return i.cause }

// raise makes a complete error, but for its place, which the evaluator knows.
func raise(format string, args ...any) error { return &Error{Msg: fmt.Sprintf(format, args...)} }

// wanted is the error of a value of the wrong kind.
func wanted(what string, got Value) error {
	return errors.New("want " + what + ", got " + brief(got))
}

// named puts the name of a function or form before an error that has none yet.
func named(name string, err error) error {
	switch err.(type) {
	case nil, *Error, *interruption, *Exit:
		return err
	}
	return &Error{Msg: name + ": " + err.Error(), Err: err}
}

// locate gives an error the place of a form, unless it has one.
func locate(err error, at *place) error {
	e, ok := err.(*Error)
	switch {
	case !ok:
		e = &Error{Msg: err.Error(), Err: err}
	case e.Line != 0:
		return e
	}
	if at != nil {
		e.File, e.Line = at.file, at.line
	}
	return e
}

// catchable reports whether catch-error may handle an error.
func catchable(err error) bool {
	var i *interruption
	var x *Exit
	return !errors.As(err, &i) && !errors.As(err, &x)
}
