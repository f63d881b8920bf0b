package lisp

import (
	"net"
	"runtime"

	"github.com/seed-2334f180/weir/interp/builtins"
	"golang.org/x/sys/unix"
)

var networkChapter = chapter{
	title: "Select and the network",
	definitions: []definition{
		{"(select READ WRITE EXCEPT [MILLISECONDS])", "waits until a socket or file in READ can be read, one in WRITE can be written, or one in EXCEPT has an exceptional condition, such as urgent data. It returns three lists of those that are ready, or nil after MILLISECONDS and after an error. Without MILLISECONDS it waits for ever. WRITE and EXCEPT may be left out.", entry{4, 4, selectSockets}.with(3)},
		{"(open PATH [MODE])", "opens a file. It does what (make-instance file PATH MODE) does.", f2(func(t *Thread, path string, mode Value) (Value, error) {
			return makeInstance(t, []Value{t.in.fileClass, path, mode})
		}).with(1)},
		{"(pipe)", "makes a pipe. It returns a list of two files: the end to read from and the end to write to.", entry{0, 0, pipe}},
		{"(socketpair FAMILY TYPE PROTOCOL)", "returns a list of two connected sockets. The family is 'unix.", f3(socketpair)},
		{"(lookup-host NAME)", "returns a list of the host's addresses. If the look-up fails, it returns nil and sets *lastsocketerror*.", f1(func(t *Thread, name string) (Value, error) {
			return t.found(net.DefaultResolver.LookupHost(t.ctx, name))
		})},
		{"(lookup-address ADDRESS)", "returns a list of the names of an address.", f1(func(t *Thread, address string) (Value, error) {
			return t.found(net.DefaultResolver.LookupAddr(t.ctx, address))
		})},
		{"(lookup-service NAME [PROTOCOL])", "returns the port of a service. PROTOCOL is \"tcp\" or \"udp\"; without it, it is \"tcp\".", f2(func(t *Thread, name string, protocol Value) (Value, error) {
			network := "tcp"
			if protocol != nil {
				var err error
				if network, err = arg[string](protocol); err != nil {
					return nil, err
				}
			}
			return t.found(net.DefaultResolver.LookupPort(t.ctx, network, name))
		}).with(1)},
		{"(strerror N)", "returns the system's message for an error number.", f1(func(_ *Thread, v Value) (Value, error) {
			n, err := within(v, 1, 4095)
			return builtins.Strerror(unix.Errno(n)), err
		})},
	},
}

// found converts the result of a look-up to a Value, or its error as failed does.
func (t *Thread) found(v any, err error) (Value, error) {
	if err != nil {
		if t.ctx.Err() != nil {
			if err := t.check(); err != nil {
				return nil, err
			}
		}
		return t.failed(err)
	}
	return FromGo(v)
}

// keepAlive keeps objects from being collected, and so their descriptors open.
func keepAlive(objects []*Object) { runtime.KeepAlive(objects) }

// constants are the flags of recv(2) and send(2).
var constants = map[string]int{
	"MSG_CTRUNC": unix.MSG_CTRUNC, "MSG_DONTROUTE": unix.MSG_DONTROUTE, "MSG_DONTWAIT": unix.MSG_DONTWAIT,
	"MSG_EOR": unix.MSG_EOR, "MSG_MORE": unix.MSG_MORE, "MSG_OOB": unix.MSG_OOB, "MSG_PEEK": unix.MSG_PEEK,
	"MSG_TRUNC": unix.MSG_TRUNC, "MSG_WAITALL": unix.MSG_WAITALL,
}
