package server

import (
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
)

// Events are the callbacks of a Server. A callback that is nil does nothing;
// without Data the input stays unread.
//
// The Server calls them on the loop of the connection, one after the other, so
// those of one connection need no lock for what they share. They must not block:
// that would hold up all connections of the loop.
type Events struct {
	// Open is the first callback of a connection. If it returns an error, the
	// Server closes the connection.
	Open func(c *Conn) error

	// Data is called when input has arrived. It takes input by Peek, Next, Discard
	// and Read. When more arrives, the Server presents what Data has left again,
	// followed by the new input. If Data returns an error, the Server closes the
	// connection at once.
	Data func(c *Conn) error

	// End is called once, when the peer has ended its stream. Data is not called
	// any more. If Data has left input because of Wake, PauseRead or HighWater, Data
	// gets that once more before End. The program can still write to the connection,
	// which stays open until the program closes it. Without End, the Server closes
	// it as Conn.Close does.
	End func(c *Conn) error

	// Pressure is called with on true when more than HighWater bytes are queued for
	// the peer, and then with on false when at most LowWater bytes are left. So a
	// program that has found Conn.Queued above HighWater can wait for the second
	// call. It does not come after Conn.Close: then Closed does.
	Pressure func(c *Conn, on bool)

	// Closed is the last callback of a connection. The Server has closed the
	// descriptor before; if that has lost output, the peer of a TCP connection
	// sees a reset.
	// The error says why the connection ended: nil after Conn.Close, io.EOF when
	// the peer has ended it, ErrAborted after Conn.Abort, ErrClosed after
	// Server.Close, or the error of a callback, a timeout or a system call.
	Closed func(c *Conn, err error)

	// Packet is called with each datagram that a udp listener receives. p is valid
	// until the callback returns.
	Packet func(l *PacketConn, p []byte, from socket.Addr)

	// Boot is called once, before anything is served. If it returns an error, the
	// server does not start. Boot may call two methods of the server: Close and
	// Stats.
	Boot func(s *Server) error

	// Stopped is called once, when the last connection has gone.
	Stopped func(s *Server)

	// Tick is called on each loop periodically. Every is the time from the end of
	// one call to the next, at least a millisecond.
	Tick  func(l *loop.Loop)
	Every time.Duration
}
