// Package socket is a socket class over an event loop: its methods look
// blocking, its descriptors never block.
//
// A [Socket] behaves as a blocking socket of the kernel does: the same results,
// errors, and effects on the next call. A call that must wait parks its
// goroutine; the timeouts SO_RCVTIMEO and SO_SNDTIMEO, which the kernel ignores
// on non-blocking descriptors, are kept by the loop's timing wheel.
//
//	s, err := socket.New(socket.Inet, socket.Stream, 0)
//	err = s.SetRecvTimeout(5 * time.Second)
//	err = s.Connect("www.example.com", "http")
//	_, err = s.Write([]byte("HEAD / HTTP/1.0\r\n\r\n"))
//	n, err := s.Recv(buf, 0)
//	err = s.Close()
//
// A Socket is a small handle on what a [loop.Group] watches. When the program has
// forgotten a Socket, the garbage collector frees it and closes its descriptor. An
// idle Socket takes less than 400 bytes.
//
// # Concurrency
//
// All functions are concurrency-safe. "It is concurrency-safe" means, in all of Weir,
// that any goroutine may call it at any time, also while other calls are in progress.
// A Socket is concurrency-safe. In each direction one call at a time works on it. Others queue in the order in which they came, and their
// own timeouts run meanwhile. Accept and the methods that read have one turn,
// Connect and the methods that write the other. Calls that cannot wait need no turn:
// those with MSG_DONTWAIT, options, Shutdown, ClearInput, UnreadRune, Close.
//
// Close ends every call that is blocked on the socket, Interrupt does so and
// leaves the socket open, and a context ends the calls of one view (WithContext). The
// number of a closed descriptor is reused only when the last call on it has
// returned.
//
// # Timeouts
//
// A call waits for as long as SO_RCVTIMEO or SO_SNDTIMEO says, set by
// SetRecvTimeout, SetSendTimeout, or Setsockopt in milliseconds; not at all with
// MSG_DONTWAIT; for ever by default. The time is that of the whole call: it includes
// the wait for the turn and the look-up of names. It never ends early. It ends late
// by a tenth of a millisecond plus scheduling. A call that has transferred something
// by then returns the count; else the error is EAGAIN (for Connect EINPROGRESS). For
// ReadFrom and WriteTo, each step has the time anew.
//
// There are deadlines, too, as in package net (SetReadDeadline): a moment at which
// all calls of a direction end, even those in progress.
//
// # Errors
//
// A call that fails returns an [*Error], with the operation and the kernel's errno.
// Compare it by errors.Is with a constant of golang.org/x/sys/unix. A timeout also is
// os.ErrDeadlineExceeded; a call on a closed socket is EBADF, and also
// net.ErrClosed. The end of a stream is io.EOF itself. ReadFrom and WriteTo may wrap
// an error in an [*UnsentError]. Recv, Send and their variants return either a count
// or an error. Methods that must write everything, such as Write, return both when
// only a part was sent.
//
// # The input buffer
//
// Read, Fread, ReadRune, ReadString and ReadLine take what was read ahead
// first. When that is not enough, ReadRune, ReadString and ReadLine ask the
// kernel for as much as the buffer holds (MaxString, 4096 bytes by default);
// Read and Fread ask only when nothing is buffered, and read into the caller's
// memory. UnreadRune puts the last character back in front.
// Recv, RecvFrom, RecvMsg and RecvBatch go past the buffer and drop what is in
// it, even if they then fail; with MSG_PEEK or MSG_OOB it stays. ClearInput and
// Close drop it too. Memory is held only while bytes are.
//
// On a socket with messages, a read takes one message into the buffer. Characters
// and lines end with the message. What does not fit in MaxString bytes is lost, as
// with recv(2).
//
// # The methods of the class
//
// This is the socket class of an interpreter. Its methods, and some of its
// neighbours, are here:
//
//	class              Go                  source
//	make-instance      New, Config.New     socket(2), bind(2)
//	  (constructor)
//	destroy-instance   Close               close(2)
//	  (destructor)
//	accept             Accept              accept(2)
//	connect            Connect             connect(2)
//	listen             Listen              listen(2)
//	recv               Recv                recv(2)
//	recv-from          RecvFrom            recvfrom(2)
//	send               Send                send(2)
//	send-to            SendTo              sendto(2)
//	fread              Fread, Read         the input buffer, recv(2)
//	fwrite             Fwrite, Write       send(2)
//	read-char          ReadRune            the input buffer, UTF-8
//	unread-char        UnreadRune          the input buffer
//	char-in-buffer     CharInBuffer, SetCharInBuffer
//	clear-input        ClearInput          the input buffer
//	read-string        ReadString          the input buffer
//	read-line          ReadLine            of the parent class, file
//	write-char         WriteRune           send(2), UTF-8
//	write-string       WriteString         send(2)
//	write-line         WriteLine           send(2)
//	eof                EOF
//	getsockopt         Getsockopt          getsockopt(2), socket(7) and others
//	setsockopt         Setsockopt          setsockopt(2), socket(7) and others
//	showbin            Dump                the input buffer and flags
//	file-fileno        Fd                  of the parent class
//	lastsocketerror    the returned error
//	select             Select of package weir
//
// Where the class returns nil, Go returns an error; where it returns the symbol EOF,
// io.EOF. Methods that write return a count, not their argument. Getsockopt returns
// 0, not nil, for a timeout that is off. EOF is true only when the input buffer is
// empty, too. Beyond the class there are messages and batches of them
// (RecvMsg, SendMsg, RecvBatch, SendBatch), ConnectStart, Writev, ReadFrom and WriteTo by
// sendfile(2) and splice(2), Pair, Adopt, Shutdown, and more families.
//
// # Where it is not the kernel
//
// On purpose:
//
//   - Close wakes the calls that are blocked on the socket (EBADF). The kernel
//     leaves them hanging.
//   - EINTR comes from Interrupt and WithContext, and never from a signal. There is no
//     SIGPIPE, except in the case that ReadFrom names.
//   - A timeout is kept to the nanosecond, and not rounded up to the kernel's clock
//     tick. SetRecvTimeout and SetSendTimeout refuse every negative timeout (EDOM);
//     Setsockopt accepts those that the kernel accepts.
//   - A send on a unix stream has one budget of time. The kernel's begins anew
//     with each progress.
//   - Connect and SendTo look names up, and try several addresses.
//   - Sockets are close-on-exec; flags in the type are refused (EINVAL).
//   - A read that finds the end returns io.EOF with its 0. So does a read of an
//     empty message just before the end of a seqpacket socket.
//   - SendBatch goes on after a part was sent, where sendmmsg(2) would forget an
//     error that occurs then.
//
// Because the kernel tells a non-blocking descriptor less:
//
//   - A connect to a unix socket with a full backlog, and a message by address
//     to a unix socket with a full queue, are tried again every 1 to 16 ms.
//   - A send that is blocked on a unix stream or seqpacket socket asks every 100
//     ms whether the peer has shut its reading side.
//   - If the program sets SO_RCVTIMEO, SO_SNDTIMEO or SO_RCVLOWAT on the descriptor
//     itself, and not by Setsockopt, no call obeys it. Adopt takes over what was set
//     before.
package socket
