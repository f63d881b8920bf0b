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
		{"(select READ WRITE EXCEPT [MILLISECONDS])", "waits until any of the sockets and files of three lists can be read, can be written, or has an exceptional condition, such as urgent data. It returns three lists of those that are ready; nil when the time is up, and on an error. Without a time, or with nil, it waits for ever. READ alone is enough.", entry{4, 4, selectSockets}.with(3)},
		{"(open PATH [MODE])", "is (make-instance file PATH MODE).", f2(func(t *Thread, path string, mode Value) (Value, error) {
			return makeInstance(t, []Value{t.in.fileClass, path, mode})
		}).with(1)},
		{"(pipe)", "returns the list of two files, which are the end of a pipe to read from and the one to write to.", entry{0, 0, pipe}},
		{"(socketpair FAMILY TYPE PROTOCOL)", "returns the list of two connected sockets. The family is 'unix.", f3(socketpair)},
		{"(lookup-host NAME)", "returns the list of a host's addresses; nil if it is not known, and *lastsocketerror* says why.", f1(func(t *Thread, name string) (Value, error) {
			return t.found(net.DefaultResolver.LookupHost(t.ctx, name))
		})},
		{"(lookup-address ADDRESS)", "returns the list of the names of an address.", f1(func(t *Thread, address string) (Value, error) {
			return t.found(net.DefaultResolver.LookupAddr(t.ctx, address))
		})},
		{"(lookup-service NAME [PROTOCOL])", "returns the port of a service of \"tcp\", or of another protocol.", f2(func(t *Thread, name string, protocol Value) (Value, error) {
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
