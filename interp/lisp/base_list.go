package lisp

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

var listChapter = chapter{
	title: "Lists",
	intro: "A list never changes, so that threads can share it. There are no pairs: the rest of a list is a list.",
	definitions: []definition{
		{"(list VALUE ...)", "returns a list of the values.", entry{0, -1, func(_ *Thread, args []Value) (Value, error) { return ListOf(args...), nil }}},
		{"(cons VALUE LIST)", "returns a list of VALUE and the elements of LIST.", f2(func(_ *Thread, v Value, l *List) (Value, error) { return &List{head: v, tail: l}, nil })},
		{"(car LIST)", "returns the first element, or nil.", f1(func(_ *Thread, l *List) (Value, error) { return l.first(), nil })},
		{"(cdr LIST)", "returns the list without its first element.", f1(func(_ *Thread, l *List) (Value, error) { return l.skip(1).value(), nil })},
		{"(cadr LIST)", "returns the second element, or nil.", f1(func(_ *Thread, l *List) (Value, error) { return l.skip(1).first(), nil })},
		{"(caddr LIST)", "returns the third element, or nil.", f1(func(_ *Thread, l *List) (Value, error) { return l.skip(2).first(), nil })},
		{"(cddr LIST)", "returns the list without its first two elements.", f1(func(_ *Thread, l *List) (Value, error) { return l.skip(2).value(), nil })},
		{"(nth N LIST)", "returns the element at N, counted from 0, or nil.", f2(func(_ *Thread, n int64, l *List) (Value, error) { return l.skip(n).first(), nil })},
		{"(nthcdr N LIST)", "returns the list without its first N elements.", f2(func(_ *Thread, n int64, l *List) (Value, error) { return l.skip(n).value(), nil })},
		{"(last LIST)", "returns the last element, or nil.", f1(lastOf)},
		{"(length VALUE)", "returns how many elements a list has, characters a string, bytes a binary, or keys a table.", f1(length)},
		{"(append LIST ...)", "returns a list of the elements of all lists.", entry{0, -1, appendLists}},
		{"(reverse LIST)", "returns the elements in the opposite order.", f1(reverse)},
		{"(member VALUE LIST)", "returns the list from the first element that equals VALUE on, or nil.", f2(member)},
		{"(assoc KEY LIST)", "returns the first element that is a list and begins with KEY, or nil.", f2(assoc)},
		{"(remove VALUE LIST)", "returns the list without the elements that equal VALUE.", f2(remove)},
		{"(filter F LIST)", "returns the elements for which F is true.", f2(filter)},
		{"(mapcar F LIST)", "returns the list of the values of F for each element.", f2(mapcar)},
		{"(reduce F LIST VALUE)", "returns (F ... (F (F VALUE first) second) ...).", f3(reduce)},
		{"(sort LIST F)", "returns the sorted list. F returns true if its first argument comes before its second. Equal elements keep their order.", f2(sortList)},
		{"(number-sequence FROM TO)", "returns the integers from FROM to TO, both included.", f2(numberSequence)},
		{"(apply F VALUE ... LIST)", "calls F with the values and the elements of LIST.", entry{2, -1, apply}},
		{"(funcall F VALUE ...)", "calls F with the values. F may also be the symbol of a function.", entry{1, -1, func(t *Thread, args []Value) (Value, error) {
			return t.Call(args[0], args[1:]...)
		}}},
		{"(null VALUE)", "returns t if VALUE is nil.", f1(func(_ *Thread, v Value) (Value, error) { return truth(v == nil), nil })},
		{"(not VALUE)", "returns t if VALUE is nil.", f1(func(_ *Thread, v Value) (Value, error) { return truth(v == nil), nil })},
		{"(consp VALUE)", "returns t if VALUE is a list that is not empty.", is[*List]()},
		{"(listp VALUE)", "returns t if VALUE is a list or nil.", f1(func(_ *Thread, v Value) (Value, error) {
			_, err := arg[*List](v)
			return truth(err == nil), nil
		})},
		{"(functionp VALUE)", "returns t if VALUE is a function.", f1(isFunction)},
		{"(eq A B)", "returns t if two values are the same: symbols with the same name, equal numbers or strings, the same list or object.", f2(func(_ *Thread, a, b Value) (Value, error) { return truth(a == b), nil })},
		{"(equal A B)", "returns t if two values are equal. Lists are equal if their elements are, binaries if their bytes are, and other values if eq returns t. 1 and 1.0 are not equal.", f2(func(t *Thread, a, b Value) (Value, error) {
			same, err := t.equal(a, b, 0)
			return truth(same), err
		})},
	},
}

// skip returns the list without its first n elements.
func (l *List) skip(n int64) *List {
	for ; n > 0 && l != nil; n-- {
		l = l.tail
	}
	return l
}

// first returns the list's first element, or nil.
func (l *List) first() Value {
	if l == nil {
		return nil
	}
	return l.head
}

// length counts elements, characters, bytes, or keys.
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
	case *Table:
		return int64(v.len()), nil
	}
	return nil, wanted("a list, a string, a binary or a table", v)
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

// member returns the part of the list that begins with the element.
func member(t *Thread, v Value, l *List) (Value, error) {
	for ; l != nil; l = l.tail {
		if same, err := t.equal(v, l.head, 0); same || err != nil {
			return l, err
		}
	}
	return nil, nil
}

// assoc returns the first list in a list that begins with a key.
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

// sortList sorts in a stable way. The function before reports whether its first
// argument comes before its second.
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

func lastOf(_ *Thread, l *List) (Value, error) {
	for l != nil && l.tail != nil {
		l = l.tail
	}
	return l.first(), nil
}

func reduce(t *Thread, f Value, l *List, v Value) (Value, error) {
	var err error
	for ; l != nil && err == nil; l = l.tail {
		v, err = t.Call(f, v, l.head)
	}
	return v, err
}

// maxSequence bounds the lists that number-sequence makes.
const maxSequence = 1 << 24

func numberSequence(_ *Thread, from, to int64) (Value, error) {
	if from > to {
		return nil, nil
	}
	if uint64(to-from) >= maxSequence {
		return nil, fmt.Errorf("%d to %d are more than %d integers", from, to, maxSequence)
	}
	var l *List
	for n := to; ; n-- {
		l = &List{head: n, tail: l}
		if n == from {
			return l, nil
		}
	}
}
