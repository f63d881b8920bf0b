package lisp

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
)

var numberChapter = chapter{
	title: "Numbers",
	intro: "Integers have 64 bits, and a result that does not fit is an error. Where an integer and a float meet, the result is a float.",
	definitions: []definition{
		{"(+ N ...)", "returns the sum.", entry{0, -1, folded(0, addInt, addFloat)}},
		{"(- N ...)", "subtracts all other numbers from the first. With one number it returns its negative.", entry{1, -1, reduced(0, subInt, subFloat)}},
		{"(* N ...)", "returns the product.", entry{0, -1, folded(1, mulInt, mulFloat)}},
		{"(/ N ...)", "divides the first number by all others. With one number it divides 1 by it. A quotient of integers is rounded towards 0.", entry{1, -1, reduced(1, divInt, func(a, b float64) float64 { return a / b })}},
		{"(mod A B)", "returns the remainder of a division, with the sign of B.", f2(func(_ *Thread, a, b Value) (Value, error) { return calculate(a, b, modInt, modFloat) })},
		{"(1+ N)", "returns N + 1.", f1(func(_ *Thread, n Value) (Value, error) { return calculate(n, int64(1), addInt, addFloat) })},
		{"(1- N)", "returns N - 1.", f1(func(_ *Thread, n Value) (Value, error) { return calculate(n, int64(1), subInt, subFloat) })},
		{"(logand N ...)", "returns the integer with the bits that are set in all integers.", entry{0, -1, folded(-1, func(a, b int64) (int64, error) { return a & b, nil }, nil)}},
		{"(logior N ...)", "returns the integer with the bits that are set in any of the integers.", entry{0, -1, folded(0, func(a, b int64) (int64, error) { return a | b, nil }, nil)}},
		{"(logxor N ...)", "returns the integer with the bits that are set in an odd number of the integers.", entry{0, -1, folded(0, func(a, b int64) (int64, error) { return a ^ b, nil }, nil)}},
		{"(lognot N)", "returns N with all bits inverted.", f1(func(_ *Thread, n int64) (Value, error) { return ^n, nil })},
		{"(ash N BITS)", "shifts N to the left, or to the right if BITS is negative.", f2(shift)},
		{"(= N ...)", "returns t if all numbers are equal.", entry{1, -1, compared(func(order int) bool { return order == 0 })}},
		{"(/= A B)", "returns t if A and B are not equal.", f2(func(_ *Thread, a, b Value) (Value, error) {
			o, err := order(a, b)
			return truth(o != 0 && err == nil), err
		})},
		{"(< N ...)", "returns t if each is less than the next.", entry{1, -1, compared(func(order int) bool { return order < 0 })}},
		{"(> N ...)", "returns t if each is greater than the next.", entry{1, -1, compared(func(order int) bool { return order == 1 })}},
		{"(<= N ...)", "returns t if none is greater than the next.", entry{1, -1, compared(func(order int) bool { return order <= 0 })}},
		{"(>= N ...)", "returns t if none is less than the next.", entry{1, -1, compared(func(order int) bool { return order == 0 || order == 1 })}},
		{"(min N ...)", "returns the least.", entry{1, -1, chosen(-1)}},
		{"(max N ...)", "returns the greatest.", entry{1, -1, chosen(1)}},
		{"(abs N)", "returns the absolute value of N.", f1(func(_ *Thread, v Value) (Value, error) {
			if o, err := order(v, int64(0)); err != nil || o >= 0 {
				return v, err
			}
			return calculate(int64(0), v, subInt, subFloat)
		})},
		{"(float N)", "returns N as a float.", f1(func(_ *Thread, v Value) (Value, error) { return toFloat(v) })},
		{"(truncate N)", "returns N rounded towards 0, as an integer.", f1(rounded(math.Trunc))},
		{"(round N)", "returns the nearest integer. If two are equally near, it returns the even one.", f1(rounded(math.RoundToEven))},
		{"(random [N])", "returns a random integer from 0 to N - 1, or without N a random float from 0 up to, and not including, 1.", f1(random).with(1)},
		{"(integerp VALUE)", "returns t if VALUE is an integer.", is[int64]()},
		{"(floatp VALUE)", "returns t if VALUE is a float.", is[float64]()},
		{"(numberp VALUE)", "returns t if VALUE is a number.", f1(func(_ *Thread, v Value) (Value, error) { _, err := toFloat(v); return truth(err == nil), nil })},
		{"(number-to-string N)", "returns the text of a number.", f1(func(_ *Thread, v Value) (Value, error) { _, err := toFloat(v); return Print(v), err })},
		{"(string-to-number S)", "returns the number that a text stands for, or nil if it stands for none.", f1(func(_ *Thread, s string) (Value, error) { n, _, err := parseNumber(s); return n, err })},
	},
}

var (
	errOverflow = errors.New("the result is beyond the range of an integer")
	errZero     = errors.New("division by zero")
)

// toFloat returns a number as a float64.
func toFloat(v Value) (Value, error) {
	switch v := v.(type) {
	case int64:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return nil, wanted("a number", v)
}

// floats returns two numbers as float64.
func floats(a, b Value) (x, y float64, err error) {
	f, err := toFloat(a)
	if err != nil {
		return 0, 0, err
	}
	g, err := toFloat(b)
	if err != nil {
		return 0, 0, err
	}
	return f.(float64), g.(float64), nil
}

// calculate applies ints to two integers. It converts other numbers to floats and
// applies other, if the operation has a function for floats.
func calculate(a, b Value, ints func(a, b int64) (int64, error), other func(a, b float64) float64) (Value, error) {
	x, whole := a.(int64)
	y, both := b.(int64)
	if whole && both {
		n, err := ints(x, y)
		return n, err
	}
	if other == nil {
		if whole {
			a = b
		}
		return nil, wanted("an integer", a)
	}
	f, g, err := floats(a, b)
	if err != nil {
		return nil, err
	}
	return other(f, g), nil
}

// folded makes a function that combines all arguments. Without arguments it returns
// the unit.
func folded(unit int64, ints func(a, b int64) (int64, error), other func(a, b float64) float64) func(*Thread, []Value) (Value, error) {
	return func(_ *Thread, args []Value) (sum Value, err error) {
		sum = unit
		for _, v := range args {
			if sum, err = calculate(sum, v, ints, other); err != nil {
				return nil, err
			}
		}
		return sum, nil
	}
}

// reduced makes a function that subtracts the other arguments from the first, or
// divides the first by the others. For a single argument it applies the operation to
// the unit and the argument.
func reduced(unit int64, ints func(a, b int64) (int64, error), other func(a, b float64) float64) func(*Thread, []Value) (Value, error) {
	return func(_ *Thread, args []Value) (rest Value, err error) {
		if len(args) == 1 {
			return calculate(unit, args[0], ints, other)
		}
		rest = args[0]
		for _, v := range args[1:] {
			if rest, err = calculate(rest, v, ints, other); err != nil {
				return nil, err
			}
		}
		return rest, nil
	}
}

func addInt(a, b int64) (int64, error) {
	if c := a + b; (c > a) == (b > 0) {
		return c, nil
	}
	return 0, errOverflow
}

func subInt(a, b int64) (int64, error) {
	if c := a - b; (c < a) == (b > 0) {
		return c, nil
	}
	return 0, errOverflow
}

func addFloat(a, b float64) float64 { return a + b }

func subFloat(a, b float64) float64 { return a - b }

func mulFloat(a, b float64) float64 { return a * b }

func mulInt(a, b int64) (int64, error) {
	c := a * b
	if a == -1 && b == math.MinInt64 || a != 0 && a != -1 && c/a != b {
		return 0, errOverflow
	}
	return c, nil
}

// divInt divides and cuts the fraction off.
func divInt(a, b int64) (int64, error) {
	switch {
	case b == 0:
		return 0, errZero
	case a == math.MinInt64 && b == -1:
		return 0, errOverflow
	}
	return a / b, nil
}

// modInt returns a remainder that has the sign of the divisor.
func modInt(a, b int64) (int64, error) {
	if b == 0 {
		return 0, errZero
	}
	m := a % b
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m, nil
}

func modFloat(a, b float64) float64 {
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m
}

// unordered is the result of order if one of the numbers is NaN.
const unordered = 2

// order returns -1, 0 or 1, or unordered. It compares an integer and a float as floats.
func order(a, b Value) (int, error) {
	x, whole := a.(int64)
	y, both := b.(int64)
	if whole && both {
		return cmp.Compare(x, y), nil
	}
	f, g, err := floats(a, b)
	if err != nil {
		return 0, err
	}
	if math.IsNaN(f) || math.IsNaN(g) {
		return unordered, nil
	}
	return cmp.Compare(f, g), nil
}

// compared makes a function that reports whether holds is true of each argument and
// the next.
func compared(holds func(order int) bool) func(*Thread, []Value) (Value, error) {
	return func(_ *Thread, args []Value) (Value, error) {
		if _, err := toFloat(args[0]); err != nil {
			return nil, err
		}
		for i, v := range args[1:] {
			if o, err := order(args[i], v); err != nil || !holds(o) {
				return nil, err
			}
		}
		return T, nil
	}
}

// chosen makes a function that returns the least or the greatest argument.
func chosen(better int) func(*Thread, []Value) (Value, error) {
	return func(_ *Thread, args []Value) (Value, error) {
		best := args[0]
		for _, v := range args {
			o, err := order(v, best)
			if err != nil {
				return nil, err
			}
			if o == better {
				best = v
			}
		}
		return best, nil
	}
}

func rounded(round func(float64) float64) func(*Thread, Value) (Value, error) {
	return func(_ *Thread, v Value) (Value, error) {
		f, ok := v.(float64)
		if !ok {
			_, err := toFloat(v)
			return v, err
		}
		if f = round(f); !(f >= math.MinInt64 && f < math.MaxInt64) {
			return nil, errOverflow
		}
		return int64(f), nil
	}
}

// shift shifts to the left, or by a negative number to the right.
func shift(_ *Thread, n int64, v Value) (Value, error) {
	by, err := within(v, -63, 63)
	if err != nil {
		return nil, err
	}
	if by < 0 {
		return n >> -by, nil
	}
	if n<<by>>by != n {
		return nil, errOverflow
	}
	return n << by, nil
}

func random(_ *Thread, v Value) (Value, error) {
	if v == nil {
		return rand.Float64(), nil
	}
	n, ok := v.(int64)
	if !ok || n < 1 {
		return nil, wanted("an integer above 0", v)
	}
	return rand.Int64N(n), nil
}
