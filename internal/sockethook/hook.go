// Package sockethook lets the packages of this module use what package socket
// does not offer to programs. Package socket sets the variables when it is
// initialised.
package sockethook

import (
	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/loop"
)

// Accepted makes s, a *socket.Socket, the owner of a stream that accept4(2)
// returned with SOCK_NONBLOCK, on the loop on of the group. When it fails, the
// descriptor is still the caller's.
//
// It is for a caller that has very many connections and embeds the Socket as a
// value: the Socket is not closed when it is forgotten, and its remote address is
// not known any more when it is closed.
var Accepted func(s any, fd, family int, group *loop.Group, on *loop.Loop) error

// Pace makes the calls of s, a *socket.Socket that nothing uses yet, transfer no more than
// p allows.
var Pace func(s any, p *rate.Pair)

// Take is Recv of s, a *socket.Socket, with MSG_DONTWAIT, for a caller that the loop tells
// of input. It makes no system call if the loop knows that nothing has arrived. Its error
// is then the bare errno EAGAIN.
var Take func(s any, buf []byte) (n int, err error)
