package subjects

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/pool/goroutine"
	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

var gnetSubject = Subject{
	Name:          "gnet",
	About:         "gnet v2, an event-driven framework",
	ServeEcho:     serveEchoGnet,
	ServePipeline: servePipelineGnet,
	ServeFlood:    serveFloodGnet,
	ServeUDP:      serveUDPGnet,
	ServeOrdinary: serveOrdinaryGnet,
}

func serveEchoGnet(size int, ready func(addr string) error) error {
	return serveGnet(1, "tcp4", size, ready, echoGnet)
}

func servePipelineGnet(size int, ready func(addr string) error) error {
	return serveGnet(1, "tcp4", size, ready, framesGnet())
}

func serveFloodGnet(size int, ready func(addr string) error) error {
	var answers []byte // the event loop's: gnet copies what the kernel does not take
	return serveGnet(1, "tcp4", size, ready, func(c gnet.Conn) error {
		for {
			p, err := c.Peek(-1)
			if err != nil {
				return err
			}
			out, used, order, err := wire.Take(answers[:0], p)
			answers = out
			if err != nil || used == 0 { // Discard(0) would discard everything
				return err
			}
			if _, err := c.Discard(used); err != nil {
				return err
			}
			if len(out) > 0 {
				if _, err := c.Write(out); err != nil {
					return err
				}
			}
			switch order.Pieces() {
			case 0:
				return nil
			case 1:
				if _, err := c.Write(zeros(order.Piece)); err != nil {
					return err
				}
			default:
				publish(order, func(p []byte) error { return c.AsyncWrite(p, nil) })
			}
		}
	})
}

func serveUDPGnet(size int, ready func(addr string) error) error {
	return serveGnet(1, "udp4", size, ready, echoGnet)
}

func serveOrdinaryGnet(task Task, ready func(addr string) error) error {
	return serveGnet(runtime.GOMAXPROCS(0), "tcp4", task.Size, ready, func(c gnet.Conn) error {
		Compute(task.Steps)
		return echoGnet(c)
	})
}

func serveGnet(loops int, network string, size int, ready func(addr string) error, traffic func(gnet.Conn) error) error {
	options := []gnet.Option{
		gnet.WithNumEventLoop(loops),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithLogger(silence{}),
	}
	if size >= 64<<10 { // beyond its default buffer
		options = append(options, gnet.WithReadBufferCap(size), gnet.WithWriteBufferCap(size))
	}
	s := &gnetServer{ready: ready, traffic: traffic}
	err := gnet.Run(s, network+"://127.0.0.1:0", options...)
	return errors.Join(s.failure, err)
}

type gnetServer struct {
	gnet.BuiltinEventEngine
	ready   func(addr string) error
	traffic func(gnet.Conn) error
	failure error
}

func (s *gnetServer) OnBoot(engine gnet.Engine) gnet.Action {
	if s.failure = s.announce(engine); s.failure != nil {
		return gnet.Shutdown
	}
	return gnet.None
}

// announce reads the port from a duplicate of the listening descriptor: gnet has no method for
// it.
func (s *gnetServer) announce(engine gnet.Engine) error {
	fd, err := engine.Dup()
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written to it
	addr, err := localAddr(fd)
	if err != nil {
		return err
	}
	return s.ready(addr)
}

func (s *gnetServer) OnTraffic(c gnet.Conn) gnet.Action {
	if err := s.traffic(c); err != nil {
		return gnet.Close
	}
	return gnet.None
}

// echoGnet makes no copy: Next lends gnet's own buffer, and Write goes straight to the socket.
func echoGnet(c gnet.Conn) error {
	p, err := c.Next(-1)
	if err != nil {
		return err
	}
	_, err = c.Write(p)
	return err
}

// framesGnet answers the whole frames with one write, and leaves the rest in gnet's buffer.
func framesGnet() func(gnet.Conn) error {
	var out []byte // the event loop's: gnet copies what the kernel does not take
	return func(c gnet.Conn) error {
		p, err := c.Peek(-1)
		if err != nil {
			return err
		}
		answers, used, err := wire.AnswerAll(out[:0], p)
		out = answers
		if err != nil || used == 0 { // Discard(0) would discard everything
			return err
		}
		if _, err := c.Discard(used); err != nil {
			return err
		}
		_, err = c.Write(answers)
		return err
	}
}

// silence is a logger for gnet that drops what is expected: the generator ends connections in
// the middle. A fatal error panics.
type silence struct{}

func (silence) Debugf(string, ...any) {}

func (silence) Infof(string, ...any) {}

func (silence) Warnf(string, ...any) {}

func (silence) Errorf(string, ...any) {}

func (silence) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("gnet: "+format, args...))
}

// gnetEachSubject is written as weir-events is: it makes a Write for each answer.
var gnetEachSubject = Subject{
	Name:          "gnet-each",
	About:         "gnet, with a Write for each answer (pipeline)",
	ServePipeline: servePipelineGnetEach,
}

func servePipelineGnetEach(size int, ready func(addr string) error) error {
	var answer []byte // the event loop's: gnet copies what the kernel does not take
	return serveGnet(1, "tcp4", size, ready, func(c gnet.Conn) error {
		for c.InboundBuffered() >= wire.HeaderSize {
			header, err := c.Peek(wire.HeaderSize)
			if err != nil {
				return err
			}
			n, err := wire.Length(header)
			if err != nil {
				return err
			}
			if n > c.InboundBuffered() {
				return nil
			}
			frame, err := c.Next(n)
			if err != nil {
				return err
			}
			answer = wire.AppendAnswer(answer[:0], frame)
			if _, err := c.Write(answer); err != nil {
				return err
			}
		}
		return nil
	})
}

// gnet starts a pool of goroutines when it is linked, and two tickers that look after the pool.
// While a process has a timer, each switch of goroutines reads the clock. No subject uses the
// pool, and all would pay for it.
func init() { goroutine.DefaultWorkerPool.Release() }
