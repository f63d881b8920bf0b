package lisp

func specialWhile(c *compiler, args *List, _ bool) (emitter, error) {
	at := c.at
	return c.headAndBody(args, false, func(test, body node) node {
		fast, _ := test.(tester)
		return &whileNode{test: test, fast: fast, body: body, at: at}
	})
}

// A loopForm has the parts that dolist and dotimes share.
type loopForm struct {
	variable     func() binding
	body, result emitter
	at           *place
}

// loop compiles ((NAME VALUE [RESULT]) BODY ...).
func (c *compiler) loop(args *List, usage string) (*loopForm, error) {
	head, ok := args.head.(*List)
	if n := head.len(4); !ok || n < 2 || n > 3 {
		return nil, wanted(usage, args.head)
	}
	name, err := c.t.in.bindable(head.head)
	if err != nil {
		return nil, err
	}
	value, err := c.form(head.tail.head, false)
	if err != nil {
		return nil, err
	}
	l := &loopForm{variable: bindingOf(c.scope.bind(name), value), at: c.at}
	defer c.scope.release(1)
	if l.body, err = c.body(args.tail, false); err != nil {
		return nil, err
	}
	l.result, err = c.body(head.tail.tail, false)
	return l, err
}

func specialDolist(c *compiler, args *List, _ bool) (emitter, error) {
	l, err := c.loop(args, "(NAME LIST) or (NAME LIST RESULT)")
	if err != nil {
		return nil, err
	}
	return func() node { return &dolistNode{l.variable(), l.body(), l.result(), l.at} }, nil
}

func specialDotimes(c *compiler, args *List, _ bool) (emitter, error) {
	l, err := c.loop(args, "(NAME COUNT) or (NAME COUNT RESULT)")
	if err != nil {
		return nil, err
	}
	return func() node { return &dotimesNode{l.variable(), l.body(), l.result(), l.at} }, nil
}
