package lisp

// whileNode repeats a body as long as a test is true.
type whileNode struct {
	test node
	fast tester // the test, if it is a tester
	body node
	at   *place
}

func (n *whileNode) eval(t *Thread, f frame) (Value, error) {
	for {
		if err := t.tick(); err != nil {
			return nil, locate(err, n.at)
		}
		yes := false
		if n.fast != nil {
			var err error
			if yes, err = n.fast.test(t, f); err != nil {
				return nil, err
			}
		} else {
			v, err := n.test.eval(t, f)
			if err != nil {
				return nil, err
			}
			yes = v != nil
		}
		if !yes {
			return nil, nil
		}
		if _, err := n.body.eval(t, f); err != nil {
			return nil, err
		}
	}
}

// dolistNode evaluates a body for each element of a list.
type dolistNode struct {
	variable     binding // its value is the list
	body, result node
	at           *place
}

func (n *dolistNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.variable.value.eval(t, f)
	if err != nil {
		return nil, err
	}
	items, err := arg[*List](v)
	if err != nil {
		return nil, locate(named("dolist", err), n.at)
	}
	for ; items != nil; items = items.tail {
		if err := t.tick(); err != nil {
			return nil, locate(err, n.at)
		}
		n.variable.bind(f, items.head)
		if _, err := n.body.eval(t, f); err != nil {
			return nil, err
		}
	}
	n.variable.bind(f, nil)
	v, err = n.result.eval(t, f)
	f[n.variable.slot] = nil
	return v, err
}

// dotimesNode evaluates a body for each number from 0.
type dotimesNode struct {
	variable     binding // its value is the count
	body, result node
	at           *place
}

func (n *dotimesNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.variable.value.eval(t, f)
	if err != nil {
		return nil, err
	}
	count, err := arg[int64](v)
	if err != nil {
		return nil, locate(named("dotimes", err), n.at)
	}
	for i := int64(0); i < count; i++ {
		if err := t.tick(); err != nil {
			return nil, locate(err, n.at)
		}
		n.variable.bind(f, t.integer(i))
		if _, err := n.body.eval(t, f); err != nil {
			return nil, err
		}
	}
	n.variable.bind(f, v)
	v, err = n.result.eval(t, f)
	f[n.variable.slot] = nil
	return v, err
}
