package lisp

// A node is compiled code. A node in tail position may return a *tailCall instead of a
// value. The caller then makes that call (see finish).
type node interface {
	eval(t *Thread, f frame) (Value, error)
}

// A tester is a node that can report whether its value is true without making the
// value.
type tester interface {
	test(t *Thread, f frame) (bool, error)
}

// constant returns a value that the compiler knows.
type constant struct{ value Value }

func (n *constant) eval(*Thread, frame) (Value, error) { return n.value, nil }

// local reads a variable of the frame.
type local struct{ slot int }

func (n *local) eval(_ *Thread, f frame) (Value, error) { return f[n.slot], nil }

// shared reads a variable that is in a cell.
type shared struct{ slot int }

func (n *shared) eval(_ *Thread, f frame) (Value, error) { return f[n.slot].(*cell).get(), nil }

// global reads a global variable.
type global struct {
	symbol *Symbol
	at     *place
}

func (n *global) eval(*Thread, frame) (Value, error) {
	if v := n.symbol.value.Load(); v != nil {
		return *v, nil
	}
	return nil, locate(unbound(n.symbol), n.at)
}

// lastError reads the variable *lastsocketerror*.
type lastError struct{}

func (lastError) eval(t *Thread, _ frame) (Value, error) { return t.lastError.get(), nil }

type setLocal struct {
	slot  int
	value node
}

func (n *setLocal) eval(t *Thread, f frame) (Value, error) {
	v, err := n.value.eval(t, f)
	if err == nil {
		f[n.slot] = v
	}
	return v, err
}

type setShared struct {
	slot  int
	value node
}

func (n *setShared) eval(t *Thread, f frame) (Value, error) {
	v, err := n.value.eval(t, f)
	if err == nil {
		f[n.slot].(*cell).set(v)
	}
	return v, err
}

type setGlobal struct {
	symbol *Symbol
	value  node
}

func (n *setGlobal) eval(t *Thread, f frame) (Value, error) {
	v, err := n.value.eval(t, f)
	if err == nil {
		n.symbol.value.Store(t.box(v))
	}
	return v, err
}

type setLastError struct{ value node }

func (n *setLastError) eval(t *Thread, f frame) (Value, error) {
	v, err := n.value.eval(t, f)
	if err == nil {
		t.lastError.set(v)
	}
	return v, err
}

// sequence evaluates nodes and returns the value of the last.
type sequence struct {
	before []node
	last   node
}

func (n *sequence) eval(t *Thread, f frame) (Value, error) {
	for _, x := range n.before {
		if _, err := x.eval(t, f); err != nil {
			return nil, err
		}
	}
	return n.last.eval(t, f)
}

// makeSequence returns the node of a body.
func makeSequence(body []node) node {
	switch len(body) {
	case 0:
		return &constant{nil}
	case 1:
		return body[0]
	}
	return &sequence{body[:len(body)-1], body[len(body)-1]}
}

type ifNode struct{ test, then, otherwise node }

func (n *ifNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.test.eval(t, f)
	if err != nil {
		return nil, err
	}
	if v != nil {
		return n.then.eval(t, f)
	}
	return n.otherwise.eval(t, f)
}

// ifTest is ifNode with a test that makes no value.
type ifTest struct {
	test            tester
	then, otherwise node
}

func (n *ifTest) eval(t *Thread, f frame) (Value, error) {
	yes, err := n.test.test(t, f)
	if err != nil {
		return nil, err
	}
	if yes {
		return n.then.eval(t, f)
	}
	return n.otherwise.eval(t, f)
}

func makeIf(test, then, otherwise node) node {
	if fast, ok := test.(tester); ok {
		return &ifTest{fast, then, otherwise}
	}
	return &ifNode{test, then, otherwise}
}

// orNode returns the first value that is true, or the last value.
type orNode struct {
	before []node
	last   node
}

func (n *orNode) eval(t *Thread, f frame) (Value, error) {
	for _, x := range n.before {
		if v, err := x.eval(t, f); v != nil || err != nil {
			return v, err
		}
	}
	return n.last.eval(t, f)
}

// andNode returns the last value if all others are true, or nil.
type andNode struct {
	before []node
	last   node
}

func (n *andNode) eval(t *Thread, f frame) (Value, error) {
	for _, x := range n.before {
		if v, err := x.eval(t, f); v == nil || err != nil {
			return nil, err
		}
	}
	return n.last.eval(t, f)
}

// condNode evaluates the body of the first clause whose test is true.
type condNode struct{ clauses []clause }

type clause struct {
	test node
	fast tester // the test, if it is a tester
	body node   // nil if the value of the test is the result
}

func (n *condNode) eval(t *Thread, f frame) (Value, error) {
	for i := range n.clauses {
		c := &n.clauses[i]
		if c.fast != nil && c.body != nil {
			yes, err := c.fast.test(t, f)
			if err != nil {
				return nil, err
			}
			if yes {
				return c.body.eval(t, f)
			}
			continue
		}
		v, err := c.test.eval(t, f)
		if err != nil {
			return nil, err
		}
		if v != nil && c.body != nil {
			return c.body.eval(t, f)
		}
		if v != nil {
			return v, nil
		}
	}
	return nil, nil
}

// A binding is a local variable and its first value.
type binding struct {
	slot   int
	shared bool
	value  node
}

func (b *binding) bind(f frame, v Value) {
	if b.shared {
		v = &cell{first: v}
	}
	f[b.slot] = v
}

// letNode binds variables for a body. After the body it clears their slots, so that
// the collector can free their values. In tail position the end of the function clears
// them.
type letNode struct {
	bindings []binding
	body     node
	tail     bool
}

func (n *letNode) eval(t *Thread, f frame) (Value, error) {
	for i := range n.bindings {
		b := &n.bindings[i]
		v, err := b.value.eval(t, f)
		if err != nil {
			return nil, err
		}
		b.bind(f, v)
	}
	v, err := n.body.eval(t, f)
	if !n.tail {
		for i := range n.bindings {
			f[n.bindings[i].slot] = nil
		}
	}
	return v, err
}
