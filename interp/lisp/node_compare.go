package lisp

// compareSimple compares two operands.
type compareSimple struct {
	guarded
	a, b operand
}

func (n *compareSimple) test(t *Thread, f frame) (bool, error) {
	a, ok := n.a.integer(f)
	b, both := n.b.integer(f)
	if ok && both && n.unchanged() {
		switch n.op {
		case opLess:
			return a < b, nil
		case opGreater:
			return a > b, nil
		case opAtMost:
			return a <= b, nil
		case opAtLeast:
			return a >= b, nil
		default:
			return a == b, nil
		}
	}
	v, err := n.call.eval(t, f)
	return v != nil, err
}

func (n *compareSimple) eval(t *Thread, f frame) (Value, error) {
	yes, err := n.test(t, f)
	return truth(yes), err
}

type compareNode struct {
	guarded
	a, b node
}

func (n *compareNode) test(t *Thread, f frame) (bool, error) {
	if !n.unchanged() {
		v, err := n.call.eval(t, f)
		return v != nil, err
	}
	x, err := n.a.eval(t, f)
	if err != nil {
		return false, err
	}
	y, err := n.b.eval(t, f)
	if err != nil {
		return false, err
	}
	if a, ok := x.(int64); ok {
		if b, ok := y.(int64); ok {
			return n.op.holds(compareInts(a, b)), nil
		}
	}
	o, err := order(x, y)
	if err != nil {
		return false, locate(named(n.symbol.name, err), n.call.at)
	}
	return n.op.holds(o), nil
}

func (n *compareNode) eval(t *Thread, f frame) (Value, error) {
	yes, err := n.test(t, f)
	return truth(yes), err
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// holds reports whether an operator is true of two numbers with the result order of
// the function order.
func (op operator) holds(order int) bool {
	switch op {
	case opLess:
		return order < 0
	case opGreater:
		return order == 1
	case opAtMost:
		return order <= 0
	case opAtLeast:
		return order == 0 || order == 1
	}
	return order == 0
}

// eqNode reports whether two values are the same.
type eqNode struct {
	guarded
	a, b node
}

func (n *eqNode) test(t *Thread, f frame) (bool, error) {
	if !n.unchanged() {
		v, err := n.call.eval(t, f)
		return v != nil, err
	}
	x, err := n.a.eval(t, f)
	if err != nil {
		return false, err
	}
	y, err := n.b.eval(t, f)
	return x == y, err
}

func (n *eqNode) eval(t *Thread, f frame) (Value, error) {
	yes, err := n.test(t, f)
	return truth(yes), err
}

// notNode reports whether a value is nil.
type notNode struct {
	guarded
	a node
}

func (n *notNode) test(t *Thread, f frame) (bool, error) {
	if !n.unchanged() {
		v, err := n.call.eval(t, f)
		return v != nil, err
	}
	if fast, ok := n.a.(tester); ok {
		yes, err := fast.test(t, f)
		return !yes, err
	}
	x, err := n.a.eval(t, f)
	return x == nil, err
}

func (n *notNode) eval(t *Thread, f frame) (Value, error) {
	yes, err := n.test(t, f)
	return truth(yes), err
}
