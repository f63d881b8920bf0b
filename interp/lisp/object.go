package lisp

import (
	"fmt"
	"strings"
	"sync"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
)

// An Object is an instance of a class. It has properties. An object of a child of file
// also has the socket or file that its constructor opened.
type Object struct {
	class     *Class // nil for a socket from Go, which has the class socket
	socket    *socket.Socket
	file      *fileStream
	maxString int // for a socket; 0 if it is not known

	mu    sync.Mutex // guards names and props
	names []string   // of the properties that the program set, in order
	props map[string]Value
}

// wrap makes an object of a socket.
func wrap(s *socket.Socket, class *Class, maxString int) *Object {
	return &Object{class: class, socket: s, maxString: maxString}
}

// Socket returns the object's socket, or nil if it has none. It is for a Func.
func (o *Object) Socket() *socket.Socket { return o.socket }

// classIn returns the object's class.
func (o *Object) classIn(in *Interp) *Class {
	if o.class == nil {
		return in.socketClass
	}
	return o.class
}

// opened reports whether a constructor has opened a socket or file.
func (o *Object) opened() bool { return o.socket != nil || o.file != nil }

// close closes what the constructor has opened.
func (o *Object) close() {
	switch {
	case o.socket != nil:
		o.socket.Close()
	case o.file != nil:
		o.file.close()
	}
}

// fd returns the descriptor; -1 when it is closed.
func (o *Object) fd() int {
	switch {
	case o.socket != nil:
		return o.socket.Fd()
	case o.file != nil:
		return o.file.fd()
	}
	return -1
}

// Registration and Buffered let weir.Select wait for the object. A file must be
// watched before (see watch).
func (o *Object) Registration() *loop.Registration {
	if o.socket != nil {
		return o.socket.Registration()
	}
	return o.file.registration()
}

// Buffered returns how many bytes were read ahead.
func (o *Object) Buffered() int {
	if o.socket != nil {
		return o.socket.Buffered()
	}
	return o.file.buffered()
}

// String returns #<class>, with the family, type and descriptor of a socket, or the
// name of a file.
func (o *Object) String() string {
	name := "socket"
	if o.class != nil {
		name = o.class.name
	}
	switch {
	case o.socket != nil:
		return fmt.Sprintf("#<%s %s %s %s>", name, o.socket.Family(), o.socket.Type(), stateOf(o.socket.Fd()))
	case o.file != nil:
		return fmt.Sprintf("#<%s %s %s>", name, Print(o.file.name), stateOf(o.file.fd()))
	}
	return "#<" + name + ">"
}

// stateOf returns the text of a descriptor, or "closed".
func stateOf(fd int) string {
	if fd < 0 {
		return "closed"
	}
	return fmt.Sprint(fd)
}

// own returns a property that every socket or file has. A program cannot set it.
func (o *Object) own(name string) (v Value, ok bool) {
	switch {
	case o.socket != nil && properties[name] != nil:
		return properties[name](o), true
	case o.socket != nil && (name == "lsocket" || name == "lfile"):
		return o.state(), true
	case o.file != nil && name == "filename":
		return o.file.name, true
	}
	return nil, false
}

// ownNames returns the names of those properties.
func (o *Object) ownNames() []string {
	switch {
	case o.socket != nil:
		return propertyNames
	case o.file != nil:
		return []string{"filename"}
	}
	return nil
}

// get returns a property's value, or nil.
func get(_ *Thread, o *Object, name *Symbol) (Value, error) {
	if v, ok := o.own(name.name); ok {
		return v, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.props[name.name], nil
}

// put sets a property. It rejects the properties that own returns.
func put(_ *Thread, o *Object, name *Symbol, v Value) (Value, error) {
	if _, ok := o.own(name.name); ok {
		return nil, fmt.Errorf("the property %s is the object's own", name.name)
	}
	o.put(name.name, v)
	return v, nil
}

func (o *Object) put(name string, v Value) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.props == nil {
		o.props = map[string]Value{}
	}
	if _, known := o.props[name]; !known {
		o.names = append(o.names, name)
	}
	o.props[name] = v
}

// plist returns all properties, each after its name, without the state.
func plist(t *Thread, o *Object) (Value, error) {
	var all []Value
	for _, name := range o.ownNames() {
		v, _ := o.own(name)
		all = append(all, t.in.symbol(name), v)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range o.names {
		all = append(all, t.in.symbol(name), o.props[name])
	}
	return ListOf(all...), nil
}

var classMethods = methodSet{
	class: "class",
	intro: "It is the parent of all classes.",
	methods: []definition{
		{"(constructor SELF [NAME VALUE] ...)", "sets properties. make-instance calls it if neither the class nor a parent has a constructor of its own.", entry{1, -1, constructObject}},
		{"(destructor SELF)", "does nothing. destroy-instance calls it if neither the class nor a parent has a destructor of its own.", entry{1, 1, func(*Thread, []Value) (Value, error) { return T, nil }}},
		{"(show OBJECT)", "prints the properties. For a socket it also prints the state, by showbin. It returns t.", f1(show)},
	},
}

func constructObject(t *Thread, args []Value) (Value, error) {
	o, err := arg[*Object](args[0])
	if err != nil {
		return nil, err
	}
	for args = args[1:]; len(args) > 0; args = args[2:] {
		name, err := arg[*Symbol](args[0])
		if err != nil {
			return nil, err
		}
		if len(args) == 1 {
			return nil, fmt.Errorf("no value for the property %s", name.name)
		}
		if _, err := put(t, o, name, args[1]); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// show prints the properties, and the state by showbin.
func show(t *Thread, o *Object) (Value, error) {
	list, err := plist(t, o)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", o)
	l, _ := list.(*List)
	for ; l != nil; l = l.tail.tail {
		fmt.Fprintf(&b, "%s %s\n", l.head, Print(l.tail.head))
	}
	if err := t.print(b.String()); err != nil || o.socket == nil {
		return T, err
	}
	return t.invoke(o.classIn(t.in).method("showbin"), []Value{o, o.state(), nil})
}
