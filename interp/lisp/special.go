package lisp

// A special form gets its arguments without evaluation.
type special struct {
	min, max int // numbers of arguments; a max below 0 means any number
	usage    string
	doc      string
	compile  func(c *compiler, args *List, tail bool) (emitter, error)
}

var specials map[string]*special

func init() { // in init, because the functions refer to specials through the compiler
	specials = map[string]*special{
		"quote":            {1, 1, "(quote VALUE)", "returns VALUE without evaluating it. 'VALUE is the same.", specialQuote},
		"quasiquote":       {1, 1, "(quasiquote VALUE)", "returns VALUE, in which each form after a comma is replaced by its value, and each form after ,@ by the elements of its value. `VALUE is the same.", specialQuasiquote},
		"unquote":          {1, 1, "(unquote FORM)", "evaluates FORM within a quasiquote. ,FORM is the same.", specialUnquote},
		"unquote-splicing": {1, 1, "(unquote-splicing FORM)", "puts the elements of a list into a quasiquote. ,@FORM is the same.", specialUnquote},
		"setq":             {2, -1, "(setq NAME VALUE ...)", "sets variables, local ones if there are such and global ones otherwise, and returns the last value.", specialSetq},
		"let":              {1, -1, "(let ((NAME VALUE) ...) BODY ...)", "evaluates the body with local variables. No value sees the new names.", specialLet},
		"let*":             {1, -1, "(let* ((NAME VALUE) ...) BODY ...)", "does what let does, but each value sees the names before it.", specialLetStar},
		"lambda":           {1, -1, "(lambda (NAME ... &optional NAME ... &rest NAME) BODY ...)", "is a function. An optional parameter without an argument is nil; the one after &rest is the list of all other arguments.", specialLambda},
		"defun":            {2, -1, "(defun NAME (NAME ...) BODY ...)", "makes a function the value of a global variable. A string before other forms in the body is its documentation.", specialDefun},
		"defmacro":         {2, -1, "(defmacro NAME (NAME ...) BODY ...)", "makes a macro: a function of forms, whose value is compiled in place of the form that uses it. It must be defined before it is used.", specialDefmacro},
		"if":               {2, -1, "(if TEST THEN [ELSE ...])", "evaluates THEN if TEST is true, and the rest otherwise.", specialIf},
		"when":             {1, -1, "(when TEST BODY ...)", "evaluates the body if TEST is true.", specialWhen},
		"unless":           {1, -1, "(unless TEST BODY ...)", "evaluates the body if TEST is nil.", specialUnless},
		"cond":             {0, -1, "(cond (TEST BODY ...) ...)", "evaluates the body of the first clause whose TEST is true. Without a body the value is that of TEST.", specialCond},
		"and":              {0, -1, "(and VALUE ...)", "returns the last value if all are true, and evaluates none after one that is nil.", specialAnd},
		"or":               {0, -1, "(or VALUE ...)", "returns the first value that is true, and evaluates none after it.", specialOr},
		"while":            {1, -1, "(while TEST BODY ...)", "repeats the body as long as TEST is true. The value is nil.", specialWhile},
		"dolist":           {1, -1, "(dolist (NAME LIST [RESULT]) BODY ...)", "evaluates the body for each element of LIST. The value is that of RESULT, or nil.", specialDolist},
		"dotimes":          {1, -1, "(dotimes (NAME COUNT [RESULT]) BODY ...)", "evaluates the body for each integer from 0 to COUNT - 1. The value is that of RESULT, or nil.", specialDotimes},
		"push":             {2, 2, "(push VALUE NAME)", "puts a value in front of the list that a variable has.", specialPush},
		"pop":              {1, 1, "(pop NAME)", "takes the first element off the list that a variable has, and returns it.", specialPop},
		"progn":            {0, -1, "(progn BODY ...)", "evaluates the forms and returns the last value.", specialProgn},
		"unwind-protect":   {1, -1, "(unwind-protect VALUE CLEANUP ...)", "evaluates VALUE and then the cleanup forms, also if an error, a throw or an interruption has ended VALUE. It returns VALUE.", specialUnwindProtect},
		"catch-error":      {1, -1, "(catch-error (NAME HANDLER ...) BODY ...)", "evaluates the body. If the body fails, it evaluates the handler with NAME set to the error's message. error-backtrace returns where the error was.", specialCatchError},
		"condition-case":   {2, -1, "(condition-case NAME BODY (CONDITION HANDLER ...) ...)", "evaluates BODY. If BODY fails, it evaluates the first handler whose CONDITION is the one that was given to signal. The condition error stands for any error. NAME is the list (CONDITION DATA). For an error that signal has not raised, DATA is the message.", specialConditionCase},
		"catch":            {1, -1, "(catch TAG BODY ...)", "evaluates the body and returns its value. If the body, or a function that it calls, throws to TAG, it returns the value that throw was given.", specialCatch},
		"defclass":         {2, -1, "(defclass NAME PARENT [DOCUMENTATION] PROPERTY ...)", "makes a class, a child of PARENT. A PROPERTY is a name, or (NAME VALUE); VALUE is evaluated for each new object.", specialDefclass},
		"defmethod":        {2, -1, "(defmethod CLASS-METHOD (SELF NAME ...) BODY ...)", "makes a method of a class, which (METHOD OBJECT ...) calls, and the function CLASS-METHOD. The methods constructor and destructor are called by make-instance and destroy-instance.", specialDefmethod},
		"thread":           {1, -1, "(thread BODY ...)", "starts a thread that evaluates the body, and returns the thread.", specialThread},
		"with-lock":        {1, -1, "(with-lock LOCK BODY ...)", "evaluates the body while no other thread has the lock.", specialWithLock},
	}
}

func specialQuote(_ *compiler, args *List, _ bool) (emitter, error) {
	v := args.head
	return func() node { return &constant{v} }, nil
}

func specialProgn(c *compiler, args *List, tail bool) (emitter, error) { return c.body(args, tail) }

func specialIf(c *compiler, args *List, tail bool) (emitter, error) {
	test, err := c.form(args.head, false)
	if err != nil {
		return nil, err
	}
	then, err := c.form(args.tail.head, tail)
	if err != nil {
		return nil, err
	}
	otherwise, err := c.body(args.tail.tail, tail)
	if err != nil {
		return nil, err
	}
	return func() node { return makeIf(test(), then(), otherwise()) }, nil
}

// headAndBody compiles a form that has one form and then a body. tail says whether the
// body is in tail position.
func (c *compiler) headAndBody(args *List, tail bool, join func(head, body node) node) (emitter, error) {
	head, err := c.form(args.head, false)
	if err != nil {
		return nil, err
	}
	body, err := c.body(args.tail, tail)
	if err != nil {
		return nil, err
	}
	return func() node { return join(head(), body()) }, nil
}

func specialWhen(c *compiler, args *List, tail bool) (emitter, error) {
	return c.headAndBody(args, tail, func(test, body node) node { return makeIf(test, body, &constant{nil}) })
}

func specialUnless(c *compiler, args *List, tail bool) (emitter, error) {
	return c.headAndBody(args, tail, func(test, body node) node { return makeIf(test, &constant{nil}, body) })
}

func specialCond(c *compiler, args *List, tail bool) (emitter, error) {
	var tests, bodies []emitter
	for ; args != nil; args = args.tail {
		clause, ok := args.head.(*List)
		if !ok {
			return nil, wanted("a clause (TEST BODY ...)", args.head)
		}
		test, err := c.form(clause.head, false)
		if err != nil {
			return nil, err
		}
		var body emitter
		if clause.tail != nil {
			if body, err = c.body(clause.tail, tail); err != nil {
				return nil, err
			}
		}
		tests, bodies = append(tests, test), append(bodies, body)
	}
	return func() node {
		n := &condNode{make([]clause, len(tests))}
		for i := range n.clauses {
			n.clauses[i].test = tests[i]()
			n.clauses[i].fast, _ = n.clauses[i].test.(tester)
			if bodies[i] != nil {
				n.clauses[i].body = bodies[i]()
			}
		}
		return n
	}, nil
}

func specialAnd(c *compiler, args *List, tail bool) (emitter, error) {
	return c.chain(args, tail, T, func(first []node, last node) node { return &andNode{first, last} })
}

func specialOr(c *compiler, args *List, tail bool) (emitter, error) {
	return c.chain(args, tail, nil, func(first []node, last node) node { return &orNode{first, last} })
}

// chain compiles the forms of and, or of or. Without forms the value is empty.
func (c *compiler) chain(args *List, tail bool, empty Value, join func(first []node, last node) node) (emitter, error) {
	all, err := c.forms(args, tail)
	if err != nil {
		return nil, err
	}
	return func() node {
		switch nodes := emitAll(all); len(nodes) {
		case 0:
			return &constant{empty}
		case 1:
			return nodes[0]
		default:
			return join(nodes[:len(nodes)-1], nodes[len(nodes)-1])
		}
	}, nil
}
