package lisp

import (
	weir "github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/interp/builtins"
)

// selectSockets is (select READ WRITE EXCEPT MILLISECONDS). It takes three lists of
// sockets and files, and a timeout; nil means no timeout. It returns three lists of the
// ready ones. After the timeout, and after an error, it returns nil.
func selectSockets(t *Thread, args []Value) (Value, error) {
	read, write, except, limit := args[0], args[1], args[2], args[3]
	// Take the sets from the thread. A function that runs meanwhile may call select,
	// and a thread that waits must not keep the objects of an earlier call.
	sets := t.sets
	t.sets = builtins.Sets{}
	var err error
	timeout := weir.Forever
	if limit != nil {
		if timeout, err = milliseconds(limit); err != nil {
			return nil, err
		}
	}
	if sets.Want.Read, err = selectables(sets.Want.Read, read); err != nil {
		return t.failed(err)
	}
	if sets.Want.Write, err = selectables(sets.Want.Write, write); err != nil {
		return t.failed(err)
	}
	if sets.Want.Except, err = selectables(sets.Want.Except, except); err != nil {
		return t.failed(err)
	}
	n, err := sets.Select(t.ctx, timeout)
	if err != nil {
		return t.failed(err)
	}
	var ready Value
	if n > 0 {
		ready = ListOf(fromSelectables(sets.Ready.Read), fromSelectables(sets.Ready.Write), fromSelectables(sets.Ready.Except))
	}
	sets.Clear()
	t.sets = sets
	return ready, nil
}

func selectables(into []weir.Selectable, v Value) ([]weir.Selectable, error) {
	l, err := arg[*List](v)
	if err != nil {
		return nil, err
	}
	for ; l != nil; l = l.tail {
		o, ok := l.head.(*Object)
		if !ok || !o.opened() {
			return nil, wanted("a socket or a file", l.head)
		}
		if o.file != nil {
			if err := o.file.watch(); err != nil {
				return nil, err
			}
		}
		into = append(into, o)
	}
	return into, nil
}

func fromSelectables(ready []weir.Selectable) Value {
	var l *List
	for i := len(ready) - 1; i >= 0; i-- {
		l = &List{head: ready[i].(*Object), tail: l}
	}
	return l.value()
}
