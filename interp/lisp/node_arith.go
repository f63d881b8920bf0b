package lisp

// The compiler turns a call of an arithmetic function into a node that calculates
// without a call. But the function's name is a global variable, which a program can
// set. So the node checks that the variable still has the original function. If it
// does not, the node calls the function that the variable has now.

type operator uint8

const (
	opAdd operator = iota + 1
	opSub
	opMul
	opLess
	opGreater
	opAtMost
	opAtLeast
	opEqual
	opEq
	opNot
)

// operators are the functions that have nodes of their own.
var operators = map[string]operator{
	"+": opAdd, "-": opSub, "*": opMul,
	"<": opLess, ">": opGreater, "<=": opAtMost, ">=": opAtLeast, "=": opEqual,
	"eq": opEq, "null": opNot, "not": opNot,
}

// guarded has the fields that all these nodes have.
type guarded struct {
	symbol   *Symbol
	original *Value // the box of the symbol's value when the compiler made the node
	call     *call  // the plain call
	op       operator
}

// unchanged reports whether the name still has its function.
func (g *guarded) unchanged() bool { return g.symbol.value.Load() == g.original }

// makeOperation returns the node of a call of an operator, or nil.
func makeOperation(c *call) node {
	original := c.symbol.value.Load()
	if original == nil {
		return nil
	}
	b, ok := (*original).(*Builtin)
	if !ok || b.op == 0 {
		return nil
	}
	g := guarded{c.symbol, original, c, b.op}
	switch {
	case b.op == opNot && len(c.args) == 1:
		return &notNode{g, c.args[0]}
	case b.op == opNot || len(c.args) != 2:
		return nil
	case b.op == opEq:
		return &eqNode{g, c.args[0], c.args[1]}
	}
	a, aSimple := simple(c.args[0])
	b2, bSimple := simple(c.args[1])
	compares := b.op >= opLess
	switch {
	case aSimple && bSimple && a.isLocal() && b2.isNumber():
		return makeStep(g, a, b2)
	case aSimple && bSimple && compares:
		return &compareSimple{g, a, b2}
	case aSimple && bSimple:
		return &calculateSimple{g, a, b2}
	case compares:
		return &compareNode{g, c.args[0], c.args[1]}
	}
	return &calculateNode{g, c.args[0], c.args[1]}
}

// An operand is a variable or an integer, which needs no call to be evaluated.
type operand struct {
	symbol *Symbol // set for a global variable
	slot   int     // set for a local variable; -1 for an integer
	number int64
}

// simple converts a node to an operand, if it is a variable or an integer.
func simple(n node) (operand, bool) {
	switch n := n.(type) {
	case *local:
		return operand{slot: n.slot}, true
	case *global:
		return operand{symbol: n.symbol}, true
	case *constant:
		number, ok := n.value.(int64)
		return operand{slot: -1, number: number}, ok
	}
	return operand{}, false
}

// integer returns the operand's value if it is an integer.
func (o *operand) integer(f frame) (int64, bool) {
	if o.symbol != nil {
		if v := o.symbol.value.Load(); v != nil {
			n, ok := (*v).(int64)
			return n, ok
		}
		return 0, false
	}
	if o.slot < 0 {
		return o.number, true
	}
	n, ok := f[o.slot].(int64)
	return n, ok
}

// calculateSimple calculates with two operands.
type calculateSimple struct {
	guarded
	a, b operand
}

func (n *calculateSimple) eval(t *Thread, f frame) (Value, error) {
	a, ok := n.a.integer(f)
	b, both := n.b.integer(f)
	if ok && both && n.unchanged() {
		switch n.op {
		case opAdd:
			if c := a + b; (c > a) == (b > 0) {
				return t.integer(c), nil
			}
		case opSub:
			if c := a - b; (c < a) == (b > 0) {
				return t.integer(c), nil
			}
		}
	}
	return n.call.eval(t, f)
}

type calculateNode struct {
	guarded
	a, b node
}

func (n *calculateNode) eval(t *Thread, f frame) (Value, error) {
	if !n.unchanged() {
		return n.call.eval(t, f)
	}
	x, err := n.a.eval(t, f)
	if err != nil {
		return nil, err
	}
	y, err := n.b.eval(t, f)
	if err != nil {
		return nil, err
	}
	if a, ok := x.(int64); ok {
		if b, ok := y.(int64); ok {
			switch n.op {
			case opAdd:
				if c := a + b; (c > a) == (b > 0) {
					return t.integer(c), nil
				}
			case opSub:
				if c := a - b; (c < a) == (b > 0) {
					return t.integer(c), nil
				}
			}
		}
	}
	return n.slow(x, y)
}

func (n *calculateNode) slow(x, y Value) (v Value, err error) {
	switch n.op {
	case opAdd:
		v, err = calculate(x, y, addInt, addFloat)
	case opSub:
		v, err = calculate(x, y, subInt, subFloat)
	default:
		v, err = calculate(x, y, mulInt, mulFloat)
	}
	if err != nil {
		return nil, locate(named(n.symbol.name, err), n.call.at)
	}
	return v, nil
}
