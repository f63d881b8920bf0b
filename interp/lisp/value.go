package lisp

import (
	"fmt"
	"math"
	"reflect"
	"sync/atomic"

	"github.com/seed-2334f180/weir/socket"
)

// A Value is a value of a program: nil, which is also the empty list and false; int64,
// float64, string, *Symbol, *List, *Binary, *Table, *Object, *Class, *Builtin, *Closure,
// *Macro, *Thread, *Lock or *Queue. Numbers, strings, symbols, lists and functions never
// change. The others do, and any thread may use them at any time.
type Value = any

// A Symbol is a name, and the global variable of that name. The symbols of an
// Interp are its own, except for T and EOF.
type Symbol struct {
	name     string
	constant bool     // its value is the symbol itself
	special  *special // it begins a special form
	value    atomic.Pointer[Value]
}

// store sets the global variable.
func (s *Symbol) store(v Value) { s.value.Store(&v) }

// String returns the symbol's name.
func (s *Symbol) String() string { return s.name }

var (
	// T is true.
	T = &Symbol{name: "t", constant: true}
	// EOF is the value that some methods of a socket return at the end of the stream.
	EOF = &Symbol{name: "EOF", constant: true}
)

// truth returns t or nil.
func truth(b bool) Value {
	if b {
		return T
	}
	return nil
}

// A List is a list that is not empty: its first element and the rest, which is
// nil or another list. It never changes, so that threads can share it, and any
// number of lists can have the same rest.
type List struct {
	head Value
	tail *List
	at   *place // the place where it was read; may be nil
}

// A place is the position in a source at which a list begins.
type place struct {
	file string
	line int
}

// ListOf makes a list. Without values it returns nil.
func ListOf(values ...Value) Value { return listOf(values, nil).value() }

// listOf puts values before a tail.
func listOf(values []Value, tail *List) *List {
	for i := len(values) - 1; i >= 0; i-- {
		tail = &List{head: values[i], tail: tail}
	}
	return tail
}

// value returns the list as a Value: an empty one is nil, not a nil *List.
func (l *List) value() Value {
	if l == nil {
		return nil
	}
	return l
}

// Values returns the elements of the list.
func (l *List) Values() []Value {
	var values []Value
	for ; l != nil; l = l.tail {
		values = append(values, l.head)
	}
	return values
}

// len counts the elements up to a maximum, so that a check for a short list does not
// walk a long one.
func (l *List) len(max int) int {
	n := 0
	for ; l != nil && n < max; l = l.tail {
		n++
	}
	return n
}

// A Func is a function written in Go. It must not keep args after it returns. FromGo
// converts its result to a Value. An error that is not an *Error becomes one, with the
// function's name, and catch-error can catch it.
type Func func(t *Thread, args []Value) (any, error)

// FromGo makes a Value of a Go value: nil, booleans (t or nil), all integers
// that an int64 holds, floats, strings, []byte (a new Binary), other slices
// (lists), *socket.Socket (a new object), and Values as they are. A nil pointer
// is an error, except for a nil *List.
func FromGo(v any) (Value, error) {
	r := reflect.ValueOf(v)
	if l, ok := v.(*List); ok {
		return l.value(), nil
	} else if r.Kind() == reflect.Pointer && r.IsNil() {
		return nil, fmt.Errorf("a nil %T", v)
	}
	switch v := v.(type) {
	case nil, int64, float64, string, *Symbol, *Binary, *Object, *Class, *Builtin, *Closure, *Macro, *Thread, *Lock, *Queue, *Table:
		return v, nil
	case bool:
		return truth(v), nil
	case int:
		return int64(v), nil
	case []byte:
		return NewBinary(v), nil
	case *socket.Socket:
		return wrap(v, nil, 0), nil
	}
	switch {
	case r.CanInt():
		return r.Int(), nil
	case r.CanUint() && r.Uint() <= math.MaxInt64:
		return int64(r.Uint()), nil
	case r.CanFloat():
		return r.Float(), nil
	case r.Kind() == reflect.Slice:
		values := make([]Value, r.Len())
		for i := range values {
			var err error
			if values[i], err = FromGo(r.Index(i).Interface()); err != nil {
				return nil, err
			}
		}
		return ListOf(values...), nil
	}
	return nil, fmt.Errorf("%v of Go's type %T is nothing that Lisp knows", v, v)
}

// maxItems bounds the number of elements that ToGo takes out of lists. Lists can share
// their parts, so a few lists may stand for more elements than memory can hold.
const maxItems = 1 << 22

// ToGo converts a Value to a plain Go value: bool for t, string for other symbols,
// []any for lists, []byte (a copy) for a Binary. It leaves other values unchanged, and
// also lists that are nested deeper than 10000 or come after 2^22 elements.
func ToGo(v Value) any {
	left := maxItems
	return toGo(v, 0, &left)
}

func toGo(v Value, depth int, left *int) any {
	switch v := v.(type) {
	case *Symbol:
		if v == T {
			return true
		}
		return v.name
	case *List:
		if *left -= v.len(*left + 1); depth == maxNesting || *left < 0 {
			return v
		}
		var items []any
		for ; v != nil; v = v.tail {
			items = append(items, toGo(v.head, depth+1, left))
		}
		return items
	case *Binary:
		return v.Bytes()
	}
	return v
}

// equal compares as the function equal does: numbers by value and kind, strings
// and binaries by their bytes, lists by their elements, all else by identity.
func (t *Thread) equal(a, b Value, depth int) (bool, error) {
	if depth > maxNesting {
		return false, raise("lists nested more than %d deep", maxNesting)
	}
	switch x := a.(type) {
	case *List:
		y, ok := b.(*List)
		if !ok {
			return false, nil
		}
		// The comparison of lists that share their parts can take very long.
		if err := t.check(); err != nil {
			return false, err
		}
		for ; x != nil && y != nil && x != y; x, y = x.tail, y.tail {
			if same, err := t.equal(x.head, y.head, depth+1); err != nil || !same {
				return false, err
			}
		}
		return x == y, nil
	case *Binary:
		y, ok := b.(*Binary)
		return ok && string(x.Bytes()) == string(y.Bytes()), nil
	}
	return a == b, nil
}

// String returns #<function name>.
func (b *Builtin) String() string { return "#<function " + b.name + ">" }

// String returns #<function name>; the name is lambda if it has none.
func (c *Closure) String() string { return "#<function " + c.name + ">" }
