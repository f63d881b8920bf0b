package socket

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// A Sockopt describes one option: a row of the table that Setsockopt and Getsockopt
// use.
type Sockopt struct {
	Level  string        // its level, as these methods take it: "socket", "tcp" ...
	Name   string        // as documented: "SO_KEEPALIVE"
	Number [2]int        // the kernel's numbers of level and option
	Kind   SockoptKind   // the Go type of its value
	Takes  string        // more about the value, if the kind does not say everything
	Access SockoptAccess // whether it can be read and set
	Source string        // the man page, or the kernel's header if no page has it
	Doc    string        // what it does, in one line
}

// A SockoptKind is the Go type of an option's value.
type SockoptKind string

// The kinds, by what Getsockopt returns. Setsockopt accepts more types.
const (
	SockoptBool   SockoptKind = "bool"    // bool
	SockoptInt    SockoptKind = "int"     // int
	SockoptMillis SockoptKind = "float64" // milliseconds, as a float64
	SockoptInts   SockoptKind = "[]int"   // a struct or array of the kernel's
	SockoptString SockoptKind = "string"  // string
	SockoptBytes  SockoptKind = "[]byte"  // []byte, in the kernel's form
	SockoptNone   SockoptKind = "nil"     // an option without a value
)

// A SockoptAccess says what can be done with an option.
type SockoptAccess string

// The access is documentation. Every call asks the kernel, which may refuse.
const (
	SockoptReadWrite SockoptAccess = "get set"
	SockoptReadOnly  SockoptAccess = "get"
	SockoptWriteOnly SockoptAccess = "set"
)

// Sockopts iterates over the table of named options, by document. The options of a
// level are in several places if several documents describe it.
func Sockopts() iter.Seq[Sockopt] {
	return func(yield func(Sockopt) bool) {
		for _, g := range sockopts {
			for i := range g.rows {
				r := &g.rows[i]
				if !yield(Sockopt{
					Level: g.level, Name: r.name, Number: [2]int{levelNumber(g.level), r.number},
					Kind: r.form.kind, Takes: r.form.takes, Access: r.access, Source: g.source, Doc: r.doc,
				}) {
					return
				}
			}
		}
	}
}

// Setsockopt sets an option by its name: setsockopt(2).
//
// The level is nil for SOL_SOCKET, a number, or a name in any case, with or
// without "SOL_" or "IPPROTO_" before it: "tcp", "IPPROTO_IPV6". The name is
// the documented one, in any case: "SO_KEEPALIVE". docs/sockopts.md, which
// Sockopts prints, lists them all with their values. A value is accepted in any
// sensible Go type:
//
//   - a boolean: bool, an integer, or nil for false;
//   - an integer: any integer type, a float64 without a fraction, or bool;
//   - milliseconds: an integer, a float with a fraction, a time.Duration, or
//     nil for off;
//   - a struct: a list of its fields, or the first field alone. Fields that are left
//     out at the end are 0. An IP address is a string, a netip.Addr, or its
//     4 or 16 bytes as integers; an interface is an index or a name;
//   - a string, or nil for the empty one; bytes: []byte, a string, or integers.
//
// The socket itself keeps SO_RCVTIMEO and SO_SNDTIMEO, to the nanosecond, rounded
// up. Zero or nil turns them off, and so does a time that overflows. As in the
// kernel, minus one second or less is accepted, reads back as 0, and lets no call
// wait; a negative value above minus one second is EDOM.
//
// An unknown level or option is ENOPROTOOPT, and the error lists similar names. A
// value of the wrong kind is EINVAL, and the error says what the option takes. Other
// errors are the kernel's.
func (s *Socket) Setsockopt(level any, name string, value any) error {
	const op = "setsockopt"
	o, err := findOption(op, level, name)
	if err != nil {
		return err
	}
	if t := o.timeout(s.core); t != nil {
		d, err := timeoutOf(value)
		if err != nil {
			return o.refuse(op, value, err)
		}
		return s.control(op, o.name, func(int) error { t.set(d); return nil })
	}
	data, err := o.form.encode(value)
	if err != nil {
		return o.refuse(op, value, err)
	}
	return s.control(op, o.name, func(fd int) error {
		if o.form.filter {
			return setFilter(fd, o.level, o.number, data)
		}
		return s.core.setsockopt(fd, o.level, o.number, data)
	})
}

// setsockopt sets an option, and updates what the socket remembers of it.
func (c *core) setsockopt(fd, level, number int, data []byte) error {
	if errno := sys.Setsockopt(fd, level, number, data); errno != 0 {
		return errno
	}
	c.reg.Doubt() // SO_RCVLOWAT, SO_SNDBUF and others change what counts as ready
	if level == unix.SOL_SOCKET && number == unix.SO_RCVLOWAT {
		return c.learnLowWater(fd)
	}
	return nil
}

// Getsockopt gets an option by its name: getsockopt(2). Level and name are as
// for Setsockopt. The result is a bool, int, float64 (milliseconds), []int,
// string or []byte, as docs/sockopts.md lists it. A 64-bit number above the greatest
// int appears negative. A timeout that is off is 0, where the class returns nil.
//
// Reading SO_ERROR clears it. It includes an error that an earlier call of this
// socket had no way to report.
func (s *Socket) Getsockopt(level any, name string) (any, error) {
	const op = "getsockopt"
	o, err := findOption(op, level, name)
	if err != nil {
		return nil, err
	}
	var value any
	err = s.control(op, o.name, func(fd int) error {
		if t := o.timeout(s.core); t != nil {
			value = millis(max(t.get(), 0))
			return nil
		}
		if o.level == unix.SOL_SOCKET && o.number == unix.SO_ERROR {
			if errno := s.core.owed.Swap(0); errno != 0 {
				value = int(errno)
				return nil
			}
		}
		data, err := o.get(fd)
		if err == nil {
			value = o.form.decode(data)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// timeout returns the timeout that the option stands for, or nil.
func (o *option) timeout(c *core) *timeout { return c.timeoutOption(o.level, o.number) }

func (c *core) timeoutOption(level, number int) *timeout {
	if level == unix.SOL_SOCKET {
		switch number {
		case unix.SO_RCVTIMEO_OLD, unix.SO_RCVTIMEO_NEW:
			return &c.recvTimeout
		case unix.SO_SNDTIMEO_OLD, unix.SO_SNDTIMEO_NEW:
			return &c.sendTimeout
		}
	}
	return nil
}

// learnLowWater copies the kernel's SO_RCVLOWAT. It repeats that until the copy is
// right, because another goroutine may set the option at the same time.
func (c *core) learnLowWater(fd int) error {
	for {
		v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT)
		if err != nil || int32(v) == c.lowWater.Swap(int32(v)) {
			return err
		}
	}
}

// refuse returns the error for a value that does not fit. It says what the value is,
// what is wrong with it, and what the option takes.
func (o *option) refuse(op string, value any, err error) error {
	e := &Error{Op: op, Addr: o.name + " " + show(value), Errno: unix.EINVAL}
	e.Err = fmt.Errorf("%w; it takes %s", err, o.form.describe())
	errors.As(err, &e.Errno)
	return e
}

// get reads the option's bytes. If the buffer is too small, the kernel says so in one
// of two ways, and says which size it needs.
func (o *option) get(fd int) ([]byte, error) {
	if o.form.filter {
		return getFilter(fd, o.level, o.number)
	}
	size := o.form.size
	for {
		buf := make([]byte, size)
		n, errno := sys.Getsockopt(fd, o.level, o.number, buf, uint32(size))
		if small := errno == unix.ERANGE || errno == 0; small && n > size {
			size = n
			continue
		}
		if errno != 0 {
			return nil, errno
		}
		return buf[:n], nil
	}
}

// instruction is the size of a filter's instruction. A filter's value is a pointer to
// its instructions. When it is read, the kernel counts instructions, not bytes.
const instruction = unix.SizeofSockFilter

func setFilter(fd, level, number int, data []byte) error {
	if len(data)/instruction > math.MaxUint16 {
		return unix.EINVAL // as for every filter that is too long
	}
	prog := make([]unix.SockFilter, len(data)/instruction)
	fprog := unix.SockFprog{Len: uint16(len(prog))}
	if len(prog) > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&prog[0])), len(data)), data)
		fprog.Filter = &prog[0]
	}
	return sys.SetsockoptSockFprog(fd, level, number, &fprog)
}

func getFilter(fd, level, number int) ([]byte, error) {
	n, errno := sys.Getsockopt(fd, level, number, nil, 0)
	if errno == 0 && n > 0 {
		buf := make([]byte, n*instruction)
		if n, errno = sys.Getsockopt(fd, level, number, buf, uint32(n)); errno == 0 {
			return buf[:min(n*instruction, len(buf))], nil
		}
	}
	if errno != 0 {
		return nil, errno
	}
	return nil, nil
}
