package main

import (
	"errors"
	"fmt"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

var gnetSubject = subject{
	name:      "gnet",
	about:     "gnet v2, an event-driven framework, with one event loop",
	serveEcho: serveEchoGnet,
}

func serveEchoGnet(size int, ready func(addr string) error) error {
	options := []gnet.Option{
		gnet.WithNumEventLoop(1),
		gnet.WithMulticore(false),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithLogger(silence{}),
	}
	if size >= 64<<10 { // beyond its default buffer
		options = append(options, gnet.WithReadBufferCap(size), gnet.WithWriteBufferCap(size))
	}
	e := &gnetEcho{ready: ready}
	err := gnet.Run(e, "tcp4://127.0.0.1:0", options...)
	return errors.Join(e.failure, err)
}

type gnetEcho struct {
	gnet.BuiltinEventEngine
	ready   func(addr string) error
	failure error
}

func (e *gnetEcho) OnBoot(engine gnet.Engine) gnet.Action {
	if e.failure = e.announce(engine); e.failure != nil {
		return gnet.Shutdown
	}
	return gnet.None
}

// announce asks a duplicate of the listening descriptor for the port: gnet does not tell it.
func (e *gnetEcho) announce(engine gnet.Engine) error {
	fd, err := engine.Dup()
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written to it
	addr, err := localAddr(fd)
	if err != nil {
		return err
	}
	return e.ready(addr)
}

func (*gnetEcho) OnTraffic(c gnet.Conn) gnet.Action {
	// Next lends gnet's own buffer and Write goes straight to the socket: no copy is made.
	p, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}
	if _, err := c.Write(p); err != nil {
		return gnet.Close
	}
	return gnet.None
}

// silence is a gnet logger. Connections that end with the generator are no news; what ends
// the process still is.
type silence struct{}

func (silence) Debugf(string, ...any) {}
func (silence) Infof(string, ...any)  {}
func (silence) Warnf(string, ...any)  {}
func (silence) Errorf(string, ...any) {}
func (silence) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("gnet: "+format, args...))
}
