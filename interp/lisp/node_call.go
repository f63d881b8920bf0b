package lisp

// A lambda is the code of a function written in Lisp.
type lambda struct {
	name     string
	doc      string // the documentation; may be empty
	params   []*Symbol
	required int   // number of parameters that must have an argument
	rest     bool  // the last parameter takes a list of the remaining arguments
	plain    bool  // each parameter takes one argument
	cells    []int // the slots of parameters that are kept in cells
	captures []int // the slots of the captured variables, in the frame of the function that makes this one
	size     int   // of a frame
	body     node
}

// A Closure is a function written in Lisp.
type Closure struct {
	*lambda
	captured []Value // the values, or cells, of captured variables
}

// makeClosure makes a function, which captures the outer variables that it uses.
type makeClosure struct{ code *lambda }

func (n *makeClosure) eval(_ *Thread, f frame) (Value, error) { return n.code.close(f), nil }

func (l *lambda) close(f frame) *Closure {
	c := &Closure{lambda: l}
	if len(l.captures) > 0 {
		c.captured = make([]Value, len(l.captures))
		for i, slot := range l.captures {
			c.captured[i] = f[slot]
		}
	}
	return c
}

// A node in tail position returns a tailCall instead of calling a function. All share
// one tailCall value. The thread holds the function and its arguments.
type tailCall struct{}

var inTail = &tailCall{}

// A call calls the function that is the value of a node.
type call struct {
	function node
	symbol   *Symbol // the function's name if it is a global variable
	name     string  // of the variable that has the function; empty for other forms
	args     []node
	depth    int // nesting within its function
	tail     bool
	at       *place
}

func (n *call) eval(t *Thread, f frame) (Value, error) {
	var function Value
	if n.symbol != nil {
		v := n.symbol.value.Load()
		if v == nil {
			return nil, locate(unbound(n.symbol), n.at)
		}
		function = *v
	} else {
		var err error
		if function, err = n.function.eval(t, f); err != nil {
			return nil, err
		}
	}
	if t.ticks--; t.ticks <= 0 {
		if err := t.check(); err != nil {
			return nil, locate(err, n.at)
		}
	}
	if c, ok := function.(*Closure); ok && c.plain && len(n.args) == len(c.params) && !n.tail {
		return n.enter(t, f, c)
	}
	return n.general(t, f, function)
}

// enter calls a closure whose parameters take one argument each. It stores the values
// of the arguments directly in the closure's frame.
func (n *call) enter(t *Thread, f frame, c *Closure) (Value, error) {
	inner := t.push(c.size)
	for i, x := range n.args {
		v, err := x.eval(t, f)
		if err != nil {
			t.pop(inner)
			return nil, err
		}
		inner[i] = v
	}
	if t.depth += n.depth; t.depth > t.maxDepth {
		t.depth -= n.depth
		t.pop(inner)
		return nil, locate(t.tooDeep(), n.at)
	}
	var v Value
	var err error
	if c.captured != nil || len(c.cells) > 0 {
		v, err = t.run(c, inner)
	} else if v, err = c.body.eval(t, inner); v == inTail && err == nil {
		v, err = t.goOn(inner)
	} else {
		t.pop(inner)
	}
	t.depth -= n.depth
	if err != nil {
		return nil, trace(err, c.name, n.at)
	}
	return v, nil
}

// goOn makes the tail call that the body with the frame f has returned.
func (t *Thread) goOn(f frame) (Value, error) {
	c, f, err := t.replace(f)
	if err != nil {
		return nil, err
	}
	return t.run(c, f)
}

// general calls any function, with any number of arguments.
func (n *call) general(t *Thread, f frame, function Value) (Value, error) {
	args := t.push(len(n.args))
	for i, x := range n.args {
		v, err := x.eval(t, f)
		if err != nil {
			t.pop(args)
			return nil, err
		}
		args[i] = v
	}
	switch function := function.(type) {
	case *Builtin:
		v, err := function.apply(t, args)
		t.pop(args)
		if err != nil {
			return nil, locate(err, n.at)
		}
		return v, nil
	case *Closure:
		if n.tail {
			t.tailFunction, t.tailArgs = function, args
			return inTail, nil
		}
		if t.depth += n.depth; t.depth > t.maxDepth {
			t.depth -= n.depth
			t.pop(args)
			return nil, locate(t.tooDeep(), n.at)
		}
		v, err := t.applyClosure(function, args)
		t.depth -= n.depth
		t.pop(args)
		if err != nil {
			return nil, trace(err, function.name, n.at)
		}
		return v, nil
	}
	t.pop(args)
	return nil, locate(notAFunction(n.name, function), n.at)
}

func notAFunction(name string, v Value) error {
	if m, ok := v.(*Macro); ok {
		return raise("%s is a macro: it must be defined before the form that uses it is evaluated", m.name)
	}
	if name != "" {
		return raise("%s is %s here, which is not a function", name, brief(v))
	}
	return raise("%s is not a function", brief(v))
}

// apply calls a function written in Go.
func (b *Builtin) apply(t *Thread, args []Value) (Value, error) {
	if len(args) < b.min || b.max >= 0 && len(args) > b.max {
		return nil, wrongCount(b.name, b.min, b.max, len(args))
	}
	v, err := b.call(t, args)
	if err != nil {
		return nil, named(b.name, err)
	}
	return v, nil
}

// applyClosure calls a closure with arguments. It copies them: the caller may use the
// slice again.
func (t *Thread) applyClosure(c *Closure, args []Value) (Value, error) {
	if err := c.accepts(len(args)); err != nil {
		return nil, err
	}
	f := t.push(c.size)
	c.spread(f, args)
	return t.run(c, f)
}

// accepts returns an error for a wrong number of arguments.
func (l *lambda) accepts(n int) error {
	most := len(l.params)
	if l.rest {
		most = -1
	}
	if n < l.required || most >= 0 && n > most {
		return wrongCount(l.name, l.required, most, n)
	}
	return nil
}

// spread stores arguments in the slots of the parameters.
func (l *lambda) spread(f frame, args []Value) {
	positional := len(l.params)
	if l.rest {
		positional--
		if len(args) > positional {
			f[positional] = listOf(args[positional:], nil).value()
			args = args[:positional]
		}
	}
	copy(f, args)
}

// run evaluates a closure's body in a frame that has the arguments, and pops the
// frame. It makes tail calls in a loop until there is a value, so that they need no
// stack.
func (t *Thread) run(c *Closure, f frame) (Value, error) {
	for {
		if c.captured != nil {
			copy(f[len(c.params):], c.captured)
		}
		for _, slot := range c.cells {
			f[slot] = &cell{first: f[slot]}
		}
		v, err := c.body.eval(t, f)
		if v != inTail || err != nil {
			t.pop(f)
			return v, err
		}
		if c, f, err = t.replace(f); err != nil {
			return nil, err
		}
	}
}

// replace replaces the caller's frame by the frame of the tail call.
func (t *Thread) replace(f frame) (*Closure, frame, error) {
	c, args := t.tailFunction, t.tailArgs
	t.tailFunction, t.tailArgs = nil, nil
	var few [4]Value
	kept := append(few[:0], args...)
	t.pop(args)
	t.pop(f)
	if err := c.accepts(len(kept)); err != nil {
		return nil, nil, err
	}
	f = t.push(c.size)
	c.spread(f, kept)
	return c, f, nil
}

// Call calls a function. The argument function is the function or its symbol. A Func
// calls it for a function that it got as an argument. As every method of a Thread, it
// may be called only by the goroutine that called the Func.
func (t *Thread) Call(function Value, args ...Value) (Value, error) {
	if s, ok := function.(*Symbol); ok {
		var err error
		if function, err = t.function(s); err != nil {
			return nil, err
		}
	}
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	if err := t.tick(); err != nil {
		return nil, err
	}
	switch function := function.(type) {
	case *Builtin:
		return function.apply(t, args)
	case *Closure:
		v, err := t.applyClosure(function, args)
		if err != nil {
			return nil, trace(err, function.name, nil)
		}
		return v, nil
	}
	return nil, notAFunction("", function)
}

// enter counts a level of recursion, and returns an error beyond the bound. After a
// nil error the caller decrements t.depth at its end.
func (t *Thread) enter() error {
	if t.depth >= t.maxDepth {
		return t.tooDeep()
	}
	t.depth++
	return nil
}

func (t *Thread) tooDeep() error { return raise("recursion deeper than %d", t.maxDepth) }

func wrongCount(name string, min, max, got int) error {
	switch {
	case min == max && min == 1:
		return raise("%s: want 1 argument, got %d", name, got)
	case min == max:
		return raise("%s: want %d arguments, got %d", name, min, got)
	case max < 0:
		return raise("%s: want %d or more arguments, got %d", name, min, got)
	}
	return raise("%s: want %d to %d arguments, got %d", name, min, max, got)
}
