package lisp

import "math"

// Most loops and recursive functions compare a local variable with an integer, and add an
// integer to one. These operations have nodes of their own, which do not ask what their
// operands are.

func (o *operand) isLocal() bool  { return o.symbol == nil && o.slot >= 0 }
func (o *operand) isNumber() bool { return o.symbol == nil && o.slot < 0 }

// makeStep returns the node of an operation of a local variable and an integer.
func makeStep(g guarded, variable, number operand) node {
	n := step{g, variable.slot, number.number}
	switch {
	case g.op >= opLess:
		return &compareStep{n, g.op.holds(-1), g.op.holds(0), g.op.holds(1)}
	case g.op == opSub && n.number != math.MinInt64:
		n.number = -n.number
		return &addStep{n}
	case g.op == opAdd:
		return &addStep{n}
	}
	return &calculateSimple{g, variable, number}
}

type step struct {
	guarded
	slot   int
	number int64
}

// addStep adds an integer to a variable.
type addStep struct{ step }

func (n *addStep) eval(t *Thread, f frame) (Value, error) {
	if a, ok := f[n.slot].(int64); ok && n.unchanged() {
		if sum := a + n.number; (sum > a) == (n.number > 0) {
			return t.integer(sum), nil
		}
	}
	return n.call.eval(t, f)
}

// compareStep compares a variable with an integer. less, equal and greater are the results.
type compareStep struct {
	step
	less, equal, greater bool
}

func (n *compareStep) test(t *Thread, f frame) (bool, error) {
	if a, ok := f[n.slot].(int64); ok && n.unchanged() {
		switch {
		case a < n.number:
			return n.less, nil
		case a > n.number:
			return n.greater, nil
		}
		return n.equal, nil
	}
	v, err := n.call.eval(t, f)
	return v != nil, err
}

func (n *compareStep) eval(t *Thread, f frame) (Value, error) {
	yes, err := n.test(t, f)
	return truth(yes), err
}
