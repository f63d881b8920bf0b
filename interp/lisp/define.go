package lisp

import (
	"fmt"
	"slices"
	"strings"
)

// A definition is a function written in Go, with its documentation.
type definition struct {
	usage string // (NAME ARGUMENT ... [OPTIONAL])
	doc   string // sentences; the first begins with a verb, its subject being the function
	entry
}

// name returns the function's name, which is the first word of its usage.
func (d *definition) name() string {
	name, _, _ := strings.Cut(strings.Trim(d.usage, "()"), " ")
	return name
}

// A chapter is a part of the reference.
type chapter struct {
	title       string
	intro       string // paragraphs; may be empty
	definitions []definition
}

// chapters has all functions of every interpreter, except for methods.
var chapters []chapter

func init() { // in init, because some of the functions refer to chapters
	chapters = []chapter{
		numberChapter, listChapter, stringChapter, regexpChapter, binaryChapter, tableChapter,
		systemChapter, timeChapter, errorChapter, threadChapter, classChapter, networkChapter,
	}
	makeBase()
}

// A Builtin is a function written in Go, as a Value.
type Builtin struct {
	name  string
	usage string
	doc   string
	op    operator // set for functions that the compiler has nodes for
	entry
}

// An entry is a function with the number of arguments that it takes. A max below 0
// means any number. The caller adds the function's name to an error that is not an
// *Error.
type entry struct {
	min, max int
	call     func(t *Thread, args []Value) (Value, error)
}

// builtin makes a function of a definition.
func (d *definition) builtin() *Builtin {
	name := d.name()
	return &Builtin{name: name, usage: d.usage, doc: d.doc, op: operators[name], entry: d.entry}
}

// defineBase makes the global variables that every interpreter begins with.
func (in *Interp) defineBase() {
	for _, s := range []*Symbol{T, EOF, {name: "nil", constant: true}} {
		in.symbols.Store(s.name, s)
	}
	in.lastError = in.intern("*lastsocketerror*")
	in.progn, in.quote, in.quasiquote = in.intern("progn"), in.intern("quote"), in.intern("quasiquote")
	in.unquote, in.splice = in.intern("unquote"), in.intern("unquote-splicing")
	for name, sp := range specials {
		in.intern(name).special = sp
	}
	for name, b := range base.functions {
		in.intern(name).store(b)
	}
	in.defineClasses()
	for name, flag := range constants {
		in.intern(name).store(int64(flag))
	}
}

// describe returns the usage and documentation of a name.
func (in *Interp) describe(s *Symbol) string {
	if s.special != nil {
		return s.special.usage + "\n  " + s.special.doc
	}
	if doc := variables[s.name]; doc != "" {
		return s.name + "\n  " + doc
	}
	v, ok := in.main().global(s)
	if !ok {
		if s.constant {
			return s.name + "\n  is a constant."
		}
		return s.name + " has no value."
	}
	switch v := v.(type) {
	case *Builtin:
		return v.usage + "\n  " + v.doc
	case *Closure:
		return v.describe("a function")
	case *Macro:
		return v.describe("a macro")
	case *Class:
		return v.describe()
	}
	return s.name + "\n  is a variable: " + brief(v)
}

// variables documents the global variables that the interpreter itself uses.
var variables = map[string]string{
	"nil":               "is false, and the empty list.",
	"t":                 "is the value that predicates return for true.",
	"EOF":               "is the value that read-char, recv, recv-from, send and send-to return at the end of a stream, and if the connection is broken or closed.",
	"*lastsocketerror*": "is the system's message for the last error of a method in this thread, such as \"Connection refused\". It stays until the program sets it to nil. Each thread has its own, which is nil at first; it cannot be a local variable.",
	"*stdin*":           "is the standard input, a file.",
	"*stdout*":          "is the standard output, a file.",
	"*stderr*":          "is the standard error, a file.",
}

// describe returns a function's usage and documentation.
func (l *lambda) describe(kind string) string {
	words := []string{l.name}
	for i, p := range l.params {
		switch {
		case l.rest && i == len(l.params)-1:
			words = append(words, "&rest")
		case i == l.required:
			words = append(words, "&optional")
		}
		words = append(words, p.name)
	}
	doc := l.doc
	if doc == "" {
		doc = "is " + kind + " without documentation."
	}
	return "(" + strings.Join(words, " ") + ")\n  " + doc
}

var helpChapter = []definition{
	{"(help)", "prints how to get help.", entry{0, 0, func(t *Thread, _ []Value) (Value, error) {
		return nil, t.print(helpText())
	}}},
	{"(describe 'NAME)", "prints the documentation of a function, special form, class or variable.", f1(func(t *Thread, v Value) (Value, error) {
		switch v := v.(type) {
		case nil:
			return nil, t.print(t.in.describe(t.in.intern("nil")) + "\n")
		case *Symbol:
			return nil, t.print(t.in.describe(v) + "\n")
		case *Builtin:
			return nil, t.print(v.usage + "\n  " + v.doc + "\n")
		case *Closure:
			return nil, t.print(v.describe("a function") + "\n")
		case *Macro:
			return nil, t.print(v.describe("a macro") + "\n")
		case *Class:
			return nil, t.print(v.describe() + "\n")
		}
		return nil, wanted("a symbol, as in (describe 'car)", v)
	})},
	{"(apropos TEXT)", "returns the list of names that contain TEXT, or whose documentation does.", f1(apropos)},
}

func helpText() string {
	var b strings.Builder
	b.WriteString("This is a small Lisp with a socket class and select.\n\n" +
		"  (describe 'car)      says what car does\n" +
		"  (apropos \"list\")     returns the names that have to do with lists\n" +
		"  (show OBJECT)        prints the state of a socket or another object\n\n" +
		"There are functions for\n\n")
	for _, c := range chapters {
		names := make([]string, 0, 4)
		for i := range c.definitions[:min(4, len(c.definitions))] {
			names = append(names, c.definitions[i].name())
		}
		fmt.Fprintf(&b, "  %-24s %s ...\n", strings.ToLower(c.title), strings.Join(names, " "))
	}
	return b.String()
}

// apropos looks for a text in names and documentation, without regard to case.
func apropos(t *Thread, text string) (Value, error) {
	text = strings.ToLower(text)
	var found []Value
	for _, name := range t.in.Names() {
		s := t.in.intern(name)
		if strings.Contains(strings.ToLower(name), text) || text != "" && strings.Contains(strings.ToLower(t.in.describe(s)), text) {
			found = append(found, s)
		}
	}
	return ListOf(found...), nil
}

// Names returns the names of the special forms, and of the global variables that have a
// value, in order.
func (in *Interp) Names() []string {
	var names []string
	in.symbols.Range(func(name, symbol any) bool {
		if s := symbol.(*Symbol); s.special != nil || s.constant || s.value.Load() != nil || s == in.lastError {
			names = append(names, s.name)
		}
		return true
	})
	slices.Sort(names)
	return names
}
