package lisp

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A Socket is an object of the class socket: a socket of package socket, and
// properties, which the program may add to.
type Socket struct {
	socket    *socket.Socket
	maxString int // 0 if it is not known

	mu    sync.Mutex // for props
	names []string   // of the properties that the program has put, in order
	props map[string]Value
}

func wrap(s *socket.Socket, maxString int) *Socket { return &Socket{socket: s, maxString: maxString} }

// Go is the socket itself, for a Func.
func (s *Socket) Go() *socket.Socket { return s.socket }

// Registration and Buffered let weir.Select wait for the object.
func (s *Socket) Registration() *loop.Registration { return s.socket.Registration() }

// Buffered is how many bytes were read ahead.
func (s *Socket) Buffered() int { return s.socket.Buffered() }

// String is #<socket family type descriptor>, or closed instead of a descriptor.
func (s *Socket) String() string {
	state := "closed"
	if fd := s.socket.Fd(); fd >= 0 {
		state = strconv.Itoa(fd)
	}
	return fmt.Sprintf("#<socket %s %s %s>", s.socket.Family(), s.socket.Type(), state)
}

// bound is the socket, its calls ended by an interruption of the thread.
func (t *Thread) bound(s *Socket) *socket.Socket { return s.socket.WithContext(t.ctx) }

// failed is what a method returns for an error: nil, and *lastsocketerror* tells
// why. An error that is no socket's is the program's, and so is an interruption.
func (t *Thread) failed(err error) (Value, error) {
	if err == nil || err == io.EOF {
		return nil, nil
	}
	var e *socket.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	if e.Errno == unix.EINTR {
		if err := t.check(); err != nil {
			return nil, err
		}
	}
	t.lastError.set(message(e))
	return nil, nil
}

// message is the system's message, and what it does not say.
func message(e *socket.Error) string {
	text := e.Errno.Error()
	if e.Err != nil && !e.Timeout() && !errors.Is(e, net.ErrClosed) && e.Err != e.Errno {
		text += " (" + strings.TrimPrefix(e.Err.Error(), "loop: ") + ")"
	}
	return text
}

// failedOrEOF is failed for the methods that return EOF for a connection that is
// closed: by the peer, or by destroy-instance.
func (t *Thread) failedOrEOF(err error) (Value, error) {
	v, raised := t.failed(err)
	if err == io.EOF || errors.Is(err, unix.EPIPE) || errors.Is(err, net.ErrClosed) {
		v = EOF
	}
	return v, raised
}

// success is t, or what failed says.
func (t *Thread) success(err error) (Value, error) {
	if err != nil {
		return t.failed(err)
	}
	return T, nil
}

// socketClass is the value of the symbol socket.
var socketClass = &Class{"socket"}

// makeInstance makes a socket: (make-instance socket FAMILY TYPE PROTOCOL KEYWORD
// VALUE ...).
func makeInstance(t *Thread, args []Value) (Value, error) {
	if args[0] != Value(socketClass) {
		return nil, wanted("the class socket", args[0])
	}
	family, err := arg[*Symbol](args[1])
	if err != nil {
		return nil, err
	}
	typ, err := arg[*Symbol](args[2])
	if err != nil {
		return nil, err
	}
	f, err := socket.ParseFamily(family.name)
	if err != nil {
		return nil, plain(err)
	}
	ty, err := socket.ParseType(typ.name)
	if err != nil {
		return nil, plain(err)
	}
	protocol, err := protocolArg(args[3])
	if err != nil {
		return t.failed(err)
	}
	cfg, err := t.options(f, args[4:])
	if err != nil {
		return nil, err
	}
	s, err := cfg.New(f, ty, protocol)
	if err != nil {
		return t.failed(err)
	}
	return wrap(s, cfg.MaxString), nil
}

// plain is an error as a mistake of the program, not a failure of a socket.
func plain(err error) error { return errors.New(err.Error()) }

func protocolArg(v Value) (socket.Protocol, error) {
	switch v := v.(type) {
	case int64:
		n, err := within(v, 0, 1<<16-1)
		return socket.Protocol(n), err
	case string:
		return socket.ProtocolByName(v)
	}
	return 0, wanted("a protocol's number or name", v)
}

// options are the keywords of make-instance.
func (t *Thread) options(family socket.Family, args []Value) (cfg socket.Config, err error) {
	cfg.MaxString = t.in.opts.MaxString
	bound := false // to an IP address or port, which may be empty and 0
	err = keywords(args, map[string]func(Value) error{
		"maxstring": func(v Value) (err error) {
			cfg.MaxString, err = within(v, 1, maxBytes)
			return err
		},
		"filename": func(v Value) (err error) {
			cfg.Filename, err = arg[string](v)
			if err == nil && cfg.Filename == "" {
				err = errors.New("filename: a file name is needed")
			}
			return err
		},
		"address": func(v Value) (err error) {
			bound = true
			cfg.Address, err = arg[string](v)
			return err
		},
		"port": func(v Value) (err error) {
			bound = true
			cfg.Port, err = within(v, 0, 65535)
			return err
		},
		"reuseaddress": func(v Value) error {
			cfg.ReuseAddress = v != nil
			return nil
		},
	})
	if bound && cfg.Address == "" { // all local addresses
		cfg.Address = "0.0.0.0"
		if family == socket.Inet6 {
			cfg.Address = "::"
		}
	}
	return cfg, err
}

// keywords gives each value to what its keyword stands for.
func keywords(args []Value, known map[string]func(Value) error) error {
	for ; len(args) > 0; args = args[2:] {
		keyword, err := arg[*Symbol](args[0])
		if err != nil {
			return fmt.Errorf("keyword: %w", err)
		}
		set := known[keyword.name]
		if set == nil {
			names := slices.Sorted(maps.Keys(known))
			return fmt.Errorf("unknown keyword %s: there are %s", keyword.name, strings.Join(names, ", "))
		}
		if len(args) == 1 {
			return fmt.Errorf("no value for the keyword %s", keyword.name)
		}
		if err := set(args[1]); err != nil {
			return fmt.Errorf("%s: %w", keyword.name, err)
		}
	}
	return nil
}

// properties are those that every socket has.
var properties = map[string]func(*Socket) Value{
	"family":   func(s *Socket) Value { return s.socket.Family().String() },
	"type":     func(s *Socket) Value { return s.socket.Type().String() },
	"protocol": protocolOf,
	"maxstring": func(s *Socket) Value {
		if s.maxString == 0 {
			return nil
		}
		return int64(s.maxString)
	},
	"filename":      func(s *Socket) Value { return hostOf(s.socket.LocalAddr(), true) },
	"address":       func(s *Socket) Value { return hostOf(s.socket.LocalAddr(), false) },
	"port":          func(s *Socket) Value { return portOf(s.socket.LocalAddr()) },
	"remoteaddress": func(s *Socket) Value { a := s.socket.RemoteAddr(); return hostOf(a, a.Family() == socket.Unix) },
	"remoteport":    func(s *Socket) Value { return portOf(s.socket.RemoteAddr()) },
}

var propertyNames = []string{"family", "type", "protocol", "maxstring", "filename", "address", "port", "remoteaddress", "remoteport"}

// hostOf is an address without its port: of a unix socket if that is asked for,
// or of any other.
func hostOf(a socket.Addr, ofUnix bool) Value {
	if !a.IsValid() || (a.Family() == socket.Unix) != ofUnix || a.Host() == "" {
		return nil
	}
	return a.Host()
}

// protocolOf is the protocol's name; nil of a closed socket.
func protocolOf(s *Socket) Value {
	n, err := s.socket.Getsockopt(nil, "SO_PROTOCOL")
	if err != nil {
		return nil
	}
	return socket.Protocol(n.(int)).String()
}

func portOf(a socket.Addr) Value {
	if !a.IsValid() || a.Family() == socket.Unix {
		return nil
	}
	return int64(a.Port())
}

// state is the input buffer and the flags as people read them: the block of the
// properties lsocket and lfile.
func (s *Socket) state() *Binary {
	var b strings.Builder
	s.socket.Dump(&b)
	return NewBinary([]byte(b.String()))
}

// isOwn reports whether a property is not the program's to set.
func isOwn(name string) bool { return properties[name] != nil || name == "lsocket" || name == "lfile" }

// get is a property's value, or nil.
func get(_ *Thread, s *Socket, name *Symbol) (Value, error) {
	if read := properties[name.name]; read != nil {
		return read(s), nil
	}
	if isOwn(name.name) {
		return s.state(), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.props[name.name], nil
}

// put sets a property that is the program's own.
func put(_ *Thread, s *Socket, name *Symbol, v Value) (Value, error) {
	if isOwn(name.name) {
		return nil, fmt.Errorf("the property %s is the socket's own", name.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.props == nil {
		s.props = map[string]Value{}
	}
	if _, known := s.props[name.name]; !known {
		s.names = append(s.names, name.name)
	}
	s.props[name.name] = v
	return v, nil
}

// plist is all properties, each after its name; but not the state.
func plist(t *Thread, s *Socket) (Value, error) {
	var all []Value
	for _, name := range propertyNames {
		all = append(all, t.in.symbol(name), properties[name](s))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.names {
		all = append(all, t.in.symbol(name), s.props[name])
	}
	return ListOf(all...), nil
}

// show prints the properties, and the state by showbin.
func show(t *Thread, s *Socket) (Value, error) {
	list, err := plist(t, s)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s)
	for l := list.(*List); l != nil; l = l.tail.tail {
		fmt.Fprintf(&b, "%s %s\n", l.head, Print(l.tail.head))
	}
	if err := t.in.print(t.in.opts.Stdout, b.String()); err != nil {
		return nil, err
	}
	return showbin(t, s, nil, nil)
}

// showbin prints a socket's state: that of now, or a block that get gave, or as
// many bytes of it as a length says.
func showbin(t *Thread, s *Socket, v, length Value) (Value, error) {
	block := s.state()
	if v != nil {
		var err error
		if block, err = arg[*Binary](v); err != nil {
			return nil, err
		}
	}
	n, err := block.upTo(length)
	if err != nil {
		return nil, err
	}
	text := string(block.Bytes()[:n])
	return T, t.in.print(t.in.opts.Stdout, text)
}
