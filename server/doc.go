// Package server serves connections and datagrams on event loops.
//
// A Server is used in one of two ways. With Events it calls callbacks on the loop
// of a connection, which must not block: a connection costs no goroutine. With a
// Handler it calls blocking code, on a goroutine that a connection has only while
// there is something to read.
//
//	srv := &server.Server{Handler: func(s *server.Session) error {
//		line, err := s.ReadLine()
//		if err != nil {
//			return err
//		}
//		_, err = s.WriteLine(line)
//		return err
//	}}
//	log.Fatal(srv.ListenAndServe("tcp", "localhost:7000"))
//
// One Server may have many listeners, and with a Service for each of them serve
// several protocols. Dial, DialPackets and Attach serve connections that the program
// has made or taken over. Inherit and Handover pass listeners from one process to the
// next, and Shutdown ends a Server in good order.
//
// # The life of a connection
//
// A listener accepts the connection, unless MaxConns connections are open. Control
// sets its options. Policy chooses its loop, which serves it until the end.
//
// With Events, a Conn is in one of seven states:
//
//	opening      Open runs. No other callback runs.
//	open         Data gets input, and both sides may send.
//	half-closed  The peer has ended its stream, and End was called. The program may
//	             still write.
//	broken       A write has failed. Data gets the input that the kernel still has.
//	draining     Close was called. Queued output leaves; nothing is read.
//	lingering    All output has left, and the stream to the peer is ended. The server
//	             discards input and waits until the peer has acknowledged everything.
//	closed       The descriptor is closed. Completions run, and last Closed.
//
// An error of a callback, a timeout, Abort and Server.Close end a Conn at once, in
// every state. Before a reset or a failed write ends a Conn, Data gets the input that
// the kernel still has.
//
// With a Handler, Begin runs once. Then the Session is idle, or Handler runs. Finish
// runs last: after an error of Begin or Handler, at the end of the stream, after a
// timeout, after the program has closed the Socket, or when the Server ends.
//
// # TLS
//
// With Server.TLS the connections of the listeners are TLS connections of crypto/tls, and
// a Service has a TLS of its own. Callbacks and handlers move plain bytes by the methods
// that they use without TLS. Conn.TLS and Session.TLS return what the handshake has
// found.
//
// A connection has no goroutine until the client sends its first byte. Then a goroutine
// does the handshake, within Timeouts.Handshake. Open or Begin is called after it, so a
// connection whose handshake fails is not seen by any callback; the Server logs it.
// Afterwards an idle connection has no goroutine and no buffer, but for the part of a
// record that has arrived. DialTLS makes a TLS connection, and AttachTLS and
// AttachTLSClient make one of a Socket.
//
// The peer's close_notify ends its stream, as a plain peer's shutdown(2) does, and so does
// the end of the TCP stream behind a whole record. Close, CloseWrite and Shutdown send
// close_notify behind the output; Abort and Server.Close do not. After a bad record the
// peer gets an alert, and the connection ends with crypto/tls's error. If the TCP stream
// ends within a record, that error is io.ErrUnexpectedEOF.
//
// The bounds of the output count plain bytes. What a callback writes, or what is written
// during a turn, leaves in as few records as tls.Config.DynamicRecordSizingDisabled
// allows. Data may get a record, 16 KiB, more than Chunk says. Timeouts.Read also bounds
// the time that the peer takes for the rest of a record.
//
// Handover passes listeners on, and not connections: the TLS connections stay with this
// process until Shutdown. The two processes need the same tls.Config.SetSessionTicketKeys
// if a client is to resume its session with the successor. Shutdown ends a connection
// that has sent nothing yet; it waits for handshakes that have begun.
//
// # Goroutines
//
//	the connection's loop    Events.Open, Data, End, Pressure, Closed and Packet; the
//	                         completions of WriteAsync; the functions of Each
//	the listener's loop      Control
//	each loop                Events.Tick
//	goroutines of the loop   Begin, Handler and Finish: one after the other for a
//	                         Session, but each call may be on another goroutine;
//	                         the functions of a tls.Config
//	callers of methods       Events.Boot, in the first method that needs it; Stopped,
//	                         in Shutdown or Close, which may also call Finish;
//	                         ServiceOf, in ListenOn and Inherit
//	any of these             Policy
//
// What runs on a loop must not block, because all connections of the loop wait for
// it. No method of a Conn calls a callback. A callback must not call the methods of a
// Server that wait: ListenAndServe, Wait, Dial, DialPackets, Handover, Shutdown and
// Close.
//
// All functions are concurrency-safe. In all of Weir, "It is concurrency-safe" means
// that any goroutine may call it at any time, also while other calls are in progress.
// "Only the connection's callbacks may call it" means Open, Data, End, Pressure and
// Closed of the same Conn, while they run. "Only the loop may call it" includes those,
// Packet, and functions that the program posts to the Loop.
//
// # Shutdown and Close
//
//	                        Shutdown                     Close
//	listeners               serve their backlogs, end    end; the kernel resets the backlogs
//	input that has arrived  is presented                 is dropped
//	queued output           leaves                       is dropped
//	connections of Events   close as by Conn.Close       are reset
//	a running Handler       Shutdown waits for it        its Socket is closed; Close does
//	                                                     not wait
//	a waiting Handler       runs when there is room      does not run; its session ends
//	Closed, Finish          have returned                Closed has returned; Finish runs
//	                                                     when Handler returns
//	returns                 nil, or the context's        nil
//	                        cause when it is done: the
//	                        rest then ends as by Close
//	a second call           ErrClosed                    ErrClosed, or ends a Shutdown
//	                                                     that waits
//
// Close does not wait for a Handler, as that of net/http does not, because a Handler that
// never looks at its Socket would block Close for ever. Stats.Handlers tells how many
// calls have not returned. A program that must wait for them calls Shutdown with a
// context, and then looks at Stats.Handlers.
//
// # Defaults and bounds
//
//	field          default              what happens at the bound
//	MaxConns       none                 further connections wait in the backlog
//	MaxConnsPerIP  none                 a further connection is closed after accept
//	MaxHandlers    none                 further calls of Begin and Handler wait
//	MaxMemory      a quarter of the     MemoryPolicy: the connections that hold most end
//	               usable memory        with ErrMemoryFull; writes return ErrMemoryFull
//	Backlog        the system's         the kernel refuses or ignores connections
//	Chunk          64 KiB               the rest is read in the next turn of the loop
//	MaxInput       1 MiB                the connection ends with ErrInputFull
//	HighWater      64 KiB               the server stops reading from the peer
//	LowWater       half of HighWater    the server reads again
//	MaxOutput      16 MiB               writes return ErrOutputFull; datagrams are dropped
//	Loops          GOMAXPROCS           -
//	KeepAlive      15 s                 -
//	Timeouts       10 s for Handshake,  the connection ends with a *TimeoutError
//	               5 s for Linger,
//	               otherwise none
//	MinRate        none                 the same; it is a field of Timeouts
//	StallAfter     no watchdog          the watchdog logs the callback's stack
//
// Public returns a Server with bounds and timeouts for the open Internet.
//
// Connections that send much at once are served after the others of the turn, for a
// millisecond together. So a flood does not hold up the others on its loop.
//
// In one turn of its loop a listener accepts 8 connections, or up to 64 if the turns are
// long. A connection sends in 16 system calls and gets 1024 completions, 256 connections
// send what was written during the turn, and a datagram socket receives in 4 system calls
// of 64 datagrams. A goroutine calls the Handler of one session 16 times, and then lets
// the loop look for the input of others. A datagram socket queues 1024 datagrams. A
// listener whose accept(2) fails rests for 10 to 100 ms.
//
// # Log
//
// The Server logs to Server.Log, with these keys. Package loop logs to slog.Default, with
// the keys error, panic and stack. The keys do not change.
//
//	key       value
//	server    Server.Name, if it is not empty; in every record
//	error     why; an error
//	peer      the address of the connection's peer
//	listener  the address of the listener
//	loop      the index of the loop in Group.Loops
//	duration  how long it has lasted
//	bytes     what the connection holds
//	times     how many records of one kind were left out
//	panic     the value of the panic
//	stack     the functions of the panic or the stall, the innermost first
//
// # Profiles and traces
//
// In a CPU or goroutine profile the goroutines of a Server have the labels server
// (Server.Name), loop (the index in Group.Loops) and listener (the addresses of the
// listeners, separated by commas). Those of a Handler have the listeners of its Service.
// The loops of a Group that the program has made have no labels, because they may work
// for others, too. A loop that waits is neither in a block profile nor in a mutex profile.
//
// In an execution trace each turn of a loop is a region weir.turn, each call of the
// program's code a region weir.call, and each call of Handler a task weir.handler with
// the peer.
//
// # Glossary
//
//   - arrival: an accepted or attached connection that its loop does not serve yet.
//   - backlog: the connections that the kernel has established and the listener has
//     not accepted.
//   - claim: a goroutine claims an idle session to run its Handler or to end it.
//   - completion: the function that WriteAsync has got. The loop calls it when the
//     kernel has taken the piece, or when the connection has ended before.
//   - engine: the part of a Service on one loop. The Server's own callbacks are a
//     Service, too.
//   - farewell: decides when the loop closes the descriptor of a lingering connection.
//   - gather: to collect the writes of a callback, which leave together when it returns.
//   - high, pressure: more than HighWater bytes are queued, and since then more than
//     LowWater.
//   - late: output that leaves at the end of the loop's turn.
//   - linger: to wait, after all output has left, until the peer has acknowledged it.
//   - piece: a slice of WriteAsync in the output queue. Copied bytes are in chunks.
//   - present: to call a callback with the input that was not read yet.
//   - rest: a pause of a listener whose system calls fail. A session rests when it
//     becomes idle.
//   - sealed: encrypted by crypto/tls. secured is the TLS side of a connection, and link
//     the net.Conn under its tls.Conn.
//   - signal: a bit by which any goroutine asks a connection's loop for something.
package server
