package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// subjects are all that can be measured, in the order of the tables. A new subject is a file
// of its own and a line here.
var subjects = []subject{
	rawSubject,
	rawBatchSubject,
	weirSubject,
	weirLeanSubject,
	weirEventsSubject,
	weirOnDemandSubject,
	weirBatchSubject,
	netSubject,
	gnetSubject,
	gnetEachSubject,
	netpollSubject,
	nbioSubject,
	kernelSubject,
}

// A subject is one way to write the same program. What it cannot do is nil, and keeps it out
// of the suites that ask for it.
type subject struct {
	name  string
	about string // one line, for -h

	// byRequest subjects are measured only when -subjects names them, or says "all".
	byRequest bool

	// serveEcho sends back what it receives on every TCP connection, with TCP_NODELAY set. A
	// connection that has a buffer makes a message fit.
	serveEcho serveFunc

	// servePipeline answers the frames (frame.go) that it receives on every TCP connection,
	// with TCP_NODELAY set, one by one and in their order.
	servePipeline serveFunc

	// serveUDP sends each datagram back to where it came from.
	serveUDP serveFunc

	// newWaiter makes a receive on a silent socket, with a timeout.
	newWaiter func(timeout time.Duration) (*waiter, error)

	// newInlet makes a socket to fill and to receive from; timeout 0 means none.
	newInlet func(timeout time.Duration) (*inlet, error)
}

// A waiter is a socket to which nobody ever sends.
type waiter struct {
	wait  func() error // one receive; nil if it ended with a timeout, or errInterrupted
	close func()
}

// errInterrupted is a wait that does not count: a signal ended it. Go's runtime sends itself
// signals, and the kernel does not restart a receive that has a timeout (signal(7)).
var errInterrupted = errors.New("a signal ended the receive")

// An inlet is a stream in which the bytes are there before the receive asks for them.
type inlet struct {
	fill    func(p []byte) error
	receive func(p []byte) (int, error)
	close   func()
}

// echoBuffer is the size of a connection's own buffer: bufio's default, unless the messages
// are larger.
func echoBuffer(size int) int { return max(size, 4096) }

func findSubject(name string) (subject, error) {
	for _, s := range subjects {
		if s.name == name {
			return s, nil
		}
	}
	return subject{}, errors.New("no such subject; there are " + strings.Join(subjectNames(), ", "))
}

func subjectNames() []string {
	var names []string
	for _, s := range subjects {
		names = append(names, s.name)
	}
	return names
}

// usualSubjects are those that are measured unless the user names others.
func usualSubjects() []string {
	var names []string
	for _, s := range subjects {
		if !s.byRequest {
			names = append(names, s.name)
		}
	}
	return names
}

// able lists those of the named subjects that can do what a suite asks for.
func able(names []string, can func(subject) bool) []string {
	var out []string
	for _, s := range subjects {
		for _, name := range names {
			if s.name == name && can(s) {
				out = append(out, name)
			}
		}
	}
	return out
}

// errNotTimeout is what a waiter says when its receive ended, but not with a timeout.
func errNotTimeout(n int, err error) error {
	return fmt.Errorf("a receive on a silent socket gave %d bytes and %v, not a timeout", n, err)
}
