package lisp

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// bound returns a socket whose calls end when the thread is interrupted.
func (t *Thread) bound(s *Object) *socket.Socket { return s.socket.WithContext(t.ctx) }

// failed converts the error of a method. For an error of the system it sets
// *lastsocketerror* and returns nil. It returns other errors, and an interruption,
// unchanged.
func (t *Thread) failed(err error) (Value, error) {
	if err == nil || err == io.EOF {
		return nil, nil
	}
	text, errno := builtins.Message(err)
	if text == "" {
		return nil, err
	}
	if errno == unix.EINTR {
		if err := t.check(); err != nil {
			return nil, err
		}
	}
	t.lastError.set(text)
	return nil, nil
}

// failedOrEOF does what failed does, but returns EOF for a connection that the peer or
// destroy-instance has closed.
func (t *Thread) failedOrEOF(err error) (Value, error) {
	v, raised := t.failed(err)
	if raised != nil {
		return nil, raised
	}
	if err == io.EOF || errors.Is(err, unix.EPIPE) || errors.Is(err, net.ErrClosed) {
		v = EOF
	}
	return v, raised
}

// success returns t. For an error it returns the results of failed.
func (t *Thread) success(err error) (Value, error) {
	if err != nil {
		return t.failed(err)
	}
	return T, nil
}

// constructSocket opens a socket: (socket-constructor SELF FAMILY TYPE PROTOCOL
// KEYWORD VALUE ...).
func constructSocket(t *Thread, args []Value) (Value, error) {
	o, err := arg[*Object](args[0])
	if err != nil {
		return nil, err
	}
	if o.opened() {
		return nil, errors.New("the object is open already")
	}
	if len(args) < 4 {
		return nil, errors.New("want a family, a type, a protocol and keywords")
	}
	family, err := arg[*Symbol](args[1])
	if err != nil {
		return nil, err
	}
	typ, err := arg[*Symbol](args[2])
	if err != nil {
		return nil, err
	}
	f, ty, protocol, err := kindOf(family, typ, args[3])
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
	o.socket, o.maxString = s, cfg.MaxString
	return o, nil
}

// kindOf parses the arguments that say which sort of socket a program wants.
func kindOf(family, typ *Symbol, protocol Value) (f socket.Family, ty socket.Type, p socket.Protocol, err error) {
	if f, err = socket.ParseFamily(family.name); err != nil {
		return f, ty, p, plain(err)
	}
	if ty, err = socket.ParseType(typ.name); err != nil {
		return f, ty, p, plain(err)
	}
	p, err = protocolArg(protocol)
	return f, ty, p, err
}

// plain converts a socket's error to an error that failed does not handle: a mistake of
// the program.
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

// options reads the keywords of make-instance.
func (t *Thread) options(family socket.Family, args []Value) (cfg socket.Config, err error) {
	cfg.MaxString = t.in.opts.MaxString
	bound := false // the program gave an address or port, maybe "" or 0
	err = keywords(args, map[string]func(Value) error{
		"maxstring": func(v Value) (err error) {
			cfg.MaxString, err = within(v, 1, maxBytes)
			return err
		},
		"filename": func(v Value) (err error) {
			cfg.Filename, err = arg[string](v)
			if err == nil && cfg.Filename == "" {
				err = errors.New("a file name is needed")
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

// keywords calls the function of each keyword with the value that follows the keyword.
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

// properties has the properties of every socket.
var properties = map[string]func(*Object) Value{
	"family":   func(s *Object) Value { return s.socket.Family().String() },
	"type":     func(s *Object) Value { return s.socket.Type().String() },
	"protocol": protocolOf,
	"maxstring": func(s *Object) Value {
		if s.maxString == 0 {
			return nil
		}
		return int64(s.maxString)
	},
	"filename":      func(s *Object) Value { return hostOf(s.socket.LocalAddr(), true) },
	"address":       func(s *Object) Value { return hostOf(s.socket.LocalAddr(), false) },
	"port":          func(s *Object) Value { return portOf(s.socket.LocalAddr()) },
	"remoteaddress": func(s *Object) Value { a := s.socket.RemoteAddr(); return hostOf(a, a.Family() == socket.Unix) },
	"remoteport":    func(s *Object) Value { return portOf(s.socket.RemoteAddr()) },
}

var propertyNames = []string{"family", "type", "protocol", "maxstring", "filename", "address", "port", "remoteaddress", "remoteport"}

// hostOf returns an address without its port. If ofUnix is true it returns only the
// address of a unix socket, and otherwise only any other address.
func hostOf(a socket.Addr, ofUnix bool) Value {
	if !a.IsValid() || (a.Family() == socket.Unix) != ofUnix || a.Host() == "" {
		return nil
	}
	return a.Host()
}

// protocolOf returns the protocol's name, or nil for a closed socket.
func protocolOf(s *Object) Value {
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

// state returns the value of the properties lsocket and lfile. It describes the input
// buffer and the flags.
func (s *Object) state() *Binary {
	var b strings.Builder
	s.socket.Dump(&b)
	return NewBinary([]byte(b.String()))
}

// showbin prints a socket's present state, or a block that get has returned, or the
// first bytes of it.
func showbin(t *Thread, s *Object, v, length Value) (Value, error) {
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
	return T, t.print(text)
}
