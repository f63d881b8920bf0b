package lisp

import (
	"slices"
	"unicode/utf8"
)

var listBase = table{
	"list":   {0, -1, func(_ *Thread, args []Value) (Value, error) { return ListOf(args...), nil }},
	"append": {0, -1, appendLists},
	"apply":  {2, -1, apply},
	"funcall": {1, -1, func(t *Thread, args []Value) (Value, error) {
		return t.Call(args[0], args[1:]...)
	}},
	"cons":      f2(func(_ *Thread, v Value, l *List) (Value, error) { return &List{head: v, tail: l}, nil }),
	"car":       f1(func(_ *Thread, l *List) (Value, error) { return l.first(), nil }),
	"cadr":      f1(func(_ *Thread, l *List) (Value, error) { return l.skip(1).first(), nil }),
	"caddr":     f1(func(_ *Thread, l *List) (Value, error) { return l.skip(2).first(), nil }),
	"cdr":       f1(func(_ *Thread, l *List) (Value, error) { return l.skip(1).value(), nil }),
	"cddr":      f1(func(_ *Thread, l *List) (Value, error) { return l.skip(2).value(), nil }),
	"nth":       f2(func(_ *Thread, n int64, l *List) (Value, error) { return l.skip(n).first(), nil }),
	"nthcdr":    f2(func(_ *Thread, n int64, l *List) (Value, error) { return l.skip(n).value(), nil }),
	"length":    f1(length),
	"reverse":   f1(reverse),
	"member":    f2(member),
	"assoc":     f2(assoc),
	"remove":    f2(remove),
	"filter":    f2(filter),
	"mapcar":    f2(mapcar),
	"sort":      f2(sortList),
	"null":      f1(func(_ *Thread, v Value) (Value, error) { return truth(v == nil), nil }),
	"not":       f1(func(_ *Thread, v Value) (Value, error) { return truth(v == nil), nil }),
	"eq":        f2(func(_ *Thread, a, b Value) (Value, error) { return truth(a == b), nil }),
	"consp":     is[*List](),
	"functionp": f1(isFunction),
	"listp": f1(func(_ *Thread, v Value) (Value, error) {
		_, err := arg[*List](v)
		return truth(err == nil), nil
	}),
	"equal": f2(func(t *Thread, a, b Value) (Value, error) {
		same, err := t.equal(a, b, 0)
		return truth(same), err
	}),
}

// skip is the list without its first n elements.
func (l *List) skip(n int64) *List {
	for ; n > 0 && l != nil; n-- {
		l = l.tail
	}
	return l
}

// first is the list's first element, or nil.
func (l *List) first() Value {
	if l == nil {
		return nil
	}
	return l.head
}

// length counts elements, characters, or bytes.
func length(_ *Thread, v Value) (Value, error) {
	switch v := v.(type) {
	case nil:
		return int64(0), nil
	case *List:
		n := int64(0)
		for ; v != nil; v = v.tail {
			n++
		}
		return n, nil
	case string:
		return int64(utf8.RuneCountInString(v)), nil
	case *Binary:
		return int64(v.Len()), nil
	}
	return nil, wanted("a list, a string or a binary", v)
}

// appendLists copies all but the last list.
func appendLists(_ *Thread, args []Value) (Value, error) {
	var all *List
	for i, v := range slices.Backward(args) {
		l, err := arg[*List](v)
		if err != nil {
			return nil, err
		}
		if i == len(args)-1 {
			all = l
		} else {
			all = listOf(l.Values(), all)
		}
	}
	return all.value(), nil
}

func reverse(_ *Thread, l *List) (Value, error) {
	var back *List
	for ; l != nil; l = l.tail {
		back = &List{head: l.head, tail: back}
	}
	return back.value(), nil
}

// member is the rest of the list from the element on.
func member(t *Thread, v Value, l *List) (Value, error) {
	for ; l != nil; l = l.tail {
		if same, err := t.equal(v, l.head, 0); same || err != nil {
			return l, err
		}
	}
	return nil, nil
}

// assoc is the first list in a list that begins with a key.
func assoc(t *Thread, key Value, l *List) (Value, error) {
	for ; l != nil; l = l.tail {
		if pair, ok := l.head.(*List); ok {
			if same, err := t.equal(key, pair.head, 0); same || err != nil {
				return pair, err
			}
		}
	}
	return nil, nil
}

func remove(t *Thread, v Value, l *List) (Value, error) {
	return l.keep(func(item Value) (bool, error) {
		same, err := t.equal(v, item, 0)
		return !same, err
	})
}

func filter(t *Thread, f Value, l *List) (Value, error) {
	return l.keep(func(item Value) (bool, error) {
		good, err := t.Call(f, item)
		return good != nil, err
	})
}

func (l *List) keep(good func(Value) (bool, error)) (Value, error) {
	var kept []Value
	for ; l != nil; l = l.tail {
		ok, err := good(l.head)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, l.head)
		}
	}
	return ListOf(kept...), nil
}

func mapcar(t *Thread, f Value, l *List) (Value, error) {
	var results []Value
	for ; l != nil; l = l.tail {
		v, err := t.Call(f, l.head)
		if err != nil {
			return nil, err
		}
		results = append(results, v)
	}
	return ListOf(results...), nil
}

func apply(t *Thread, args []Value) (Value, error) {
	last, err := arg[*List](args[len(args)-1])
	if err != nil {
		return nil, err
	}
	return t.Call(args[0], slices.Concat(args[1:len(args)-1], last.Values())...)
}

// sortList is stable. The function tells whether its first argument has to come
// before its second.
func sortList(t *Thread, l *List, before Value) (Value, error) {
	var failure error
	comes := func(a, b Value) bool {
		if failure != nil {
			return false
		}
		v, err := t.Call(before, a, b)
		failure = err
		return v != nil
	}
	items := l.Values()
	slices.SortStableFunc(items, func(a, b Value) int {
		switch {
		case comes(a, b):
			return -1
		case comes(b, a):
			return 1
		}
		return 0
	})
	if failure != nil {
		return nil, failure
	}
	return ListOf(items...), nil
}

func isFunction(_ *Thread, v Value) (Value, error) {
	switch v.(type) {
	case *Builtin, *Closure:
		return T, nil
	}
	return nil, nil
}
