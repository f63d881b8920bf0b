package lisp

import "strconv"

// arg converts an argument to a Go type, or returns an error. It accepts nil as a
// *List.
func arg[T any](v Value) (x T, err error) {
	switch p := any(&x).(type) {
	case *Value:
		*p = v
		return x, nil
	case **List:
		if v == nil {
			return x, nil
		}
	}
	x, ok := v.(T)
	if !ok {
		return x, wanted(kind(x), v)
	}
	return x, nil
}

// kind returns the words with which an error names a Go type.
func kind(x any) string {
	switch x.(type) {
	case int64:
		return "an integer"
	case string:
		return "a string"
	case *Symbol:
		return "a symbol"
	case *List:
		return "a list"
	case *Binary:
		return "a binary"
	case *Object:
		return "an object"
	case *Class:
		return "a class"
	case *Table:
		return "a hash table"
	case *Queue:
		return "a queue"
	case *Thread:
		return "a thread"
	case *Lock:
		return "a lock"
	}
	return "another kind of value"
}

// f1 makes an entry for a function of one argument, which must have type A. f2 and f3
// do the same for two and three arguments.
func f1[A any](f func(*Thread, A) (Value, error)) entry {
	return entry{1, 1, func(t *Thread, args []Value) (Value, error) {
		a, err := arg[A](args[0])
		if err != nil {
			return nil, err
		}
		return f(t, a)
	}}
}

func f2[A, B any](f func(*Thread, A, B) (Value, error)) entry {
	return entry{2, 2, func(t *Thread, args []Value) (Value, error) {
		a, err := arg[A](args[0])
		if err != nil {
			return nil, err
		}
		b, err := arg[B](args[1])
		if err != nil {
			return nil, err
		}
		return f(t, a, b)
	}}
}

func f3[A, B, C any](f func(*Thread, A, B, C) (Value, error)) entry {
	return entry{3, 3, func(t *Thread, args []Value) (Value, error) {
		a, err := arg[A](args[0])
		if err != nil {
			return nil, err
		}
		b, err := arg[B](args[1])
		if err != nil {
			return nil, err
		}
		c, err := arg[C](args[2])
		if err != nil {
			return nil, err
		}
		return f(t, a, b, c)
	}}
}

// is makes a function that reports whether its argument has a Go type.
func is[T any]() entry {
	return entry{1, 1, func(_ *Thread, args []Value) (Value, error) {
		_, ok := args[0].(T)
		return truth(ok), nil
	}}
}

// with makes the last arguments of a function optional. The function gets nil for each
// one that the caller omits.
func (e entry) with(optional int) entry {
	all, call := e.max, e.call
	e.min -= optional
	e.call = func(t *Thread, args []Value) (Value, error) {
		var full [4]Value
		copy(full[:all], args)
		return call(t, full[:all])
	}
	return e
}

// within returns an integer from least to most, or an error.
func within(v Value, least, most int) (int, error) {
	n, ok := v.(int64)
	if !ok || n < int64(least) || n > int64(most) {
		return 0, wanted("an integer from "+strconv.Itoa(least)+" to "+strconv.Itoa(most), v)
	}
	return int(n), nil
}
