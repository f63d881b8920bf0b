package lisp

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"time"
)

var systemBase = table{
	"print":       f1(func(t *Thread, v Value) (Value, error) { return v, t.in.print(t.in.opts.Stdout, Print(v)+"\n") }),
	"princ":       f1(func(t *Thread, v Value) (Value, error) { return v, t.in.print(t.in.opts.Stdout, textOf(v, false)) }),
	"load":        f1(load),
	"delete-file": f1(deleteFile),
	"eval":        f1(func(t *Thread, v Value) (Value, error) { return t.eval(v, t.in.root) }),
	"error": {1, -1, func(_ *Thread, args []Value) (Value, error) {
		message, err := format(args)
		if err != nil {
			return nil, err
		}
		return nil, &Error{Msg: message.(string)}
	}},
	"exit":                f1(exit).with(1),
	"sleep":               f1(sleep),
	"float-time":          {0, 0, func(*Thread, []Value) (Value, error) { return float64(time.Now().UnixMicro()) / 1e6, nil }},
	"current-time-string": {0, 0, func(*Thread, []Value) (Value, error) { return time.Now().Format(time.ANSIC), nil }},
}

// print writes a text as a whole, whatever other threads print.
func (in *Interp) print(w io.Writer, text string) error {
	in.out.Lock()
	defer in.out.Unlock()
	_, err := io.WriteString(w, text)
	return err
}

func load(t *Thread, path string) (Value, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	return t.load(path)
}

// deleteFile is for the path of a unix socket that was left behind. It tells
// whether there was one.
func deleteFile(_ *Thread, path string) (Value, error) {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return truth(err == nil), err
}

func exit(_ *Thread, v Value) (Value, error) {
	if v == nil {
		return nil, &Exit{}
	}
	code, err := within(v, 0, 255)
	if err != nil {
		return nil, err
	}
	return nil, &Exit{code}
}

func sleep(t *Thread, v Value) (Value, error) {
	d, err := milliseconds(v)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil, nil
	case <-t.done:
		return nil, t.check()
	}
}

// milliseconds is a time that is given as a number of them, rounded up to the
// nanosecond.
func milliseconds(v Value) (time.Duration, error) {
	f, err := toFloat(v)
	if err != nil || !(f.(float64) >= 0) {
		return 0, wanted("a number of milliseconds", v)
	}
	ns := math.Ceil(f.(float64) * 1e6)
	if ns >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return time.Duration(ns), nil
}
