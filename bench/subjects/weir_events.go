package subjects

import (
	"github.com/seed-2334f180/weir/bench/wire"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
)

var weirEventsSubject = Subject{
	Name:          "weir-events",
	About:         "Weir's Server with event callbacks",
	ServeEcho:     serveEchoWeirEvents,
	ServePipeline: servePipelineWeirEvents,
	ServeTLS:      serveTLSWeirEvents,
	ServeFlood:    serveFloodWeirEvents,
	ServeUDP:      serveUDPWeirEvents,
	ServeOrdinary: serveOrdinaryWeirEvents,
}

func serveEchoWeirEvents(_ int, ready func(addr string) error) error {
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, Events: server.Events{
		Data: func(c *server.Conn) error {
			_, err := c.Write(c.Next(-1))
			return err
		},
	}})
}

func serveOrdinaryWeirEvents(task Task, ready func(addr string) error) error {
	return runWeirServer("tcp4", ready, &server.Server{Events: server.Events{
		Data: func(c *server.Conn) error {
			Compute(task.Steps)
			_, err := c.Write(c.Next(-1))
			return err
		},
	}})
}

// servePipelineWeirEvents makes a Write for each answer. They leave together when the callback
// returns.
func servePipelineWeirEvents(_ int, ready func(addr string) error) error {
	var answer []byte // shared by the loop's callbacks: Write copies it
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, Events: server.Events{
		Data: func(c *server.Conn) error {
			for {
				header := c.Peek(wire.HeaderSize)
				if header == nil {
					return nil
				}
				n, err := wire.Length(header)
				if err != nil {
					return err
				}
				frame := c.Next(n)
				if frame == nil {
					return nil
				}
				answer = wire.AppendAnswer(answer[:0], frame)
				if _, err := c.Write(answer); err != nil {
					return err
				}
			}
		},
	}})
}

// serveFloodWeirEvents sends a large piece by WriteAsync, which makes no copy.
func serveFloodWeirEvents(_ int, ready func(addr string) error) error {
	var answers []byte // shared by the loop's callbacks: Write copies it
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, MaxOutput: 2 * wire.MaxOrder, MaxMemory: 8 * wire.MaxOrder, Events: server.Events{
		Data: func(c *server.Conn) error {
			for {
				out, used, order, err := wire.Take(answers[:0], c.Peek(-1))
				answers = out
				if err != nil {
					return err
				}
				c.Discard(used)
				if len(out) > 0 {
					if _, err := c.Write(out); err != nil {
						return err
					}
				}
				switch order.Pieces() {
				case 0:
					return nil
				case 1:
					if err := c.WriteAsync(zeros(order.Piece), func(error) {}); err != nil {
						return err
					}
				default:
					publish(order, func(p []byte) error { _, err := c.Write(p); return err })
				}
			}
		},
	}})
}

func serveUDPWeirEvents(_ int, ready func(addr string) error) error {
	return runWeirServer("udp4", ready, &server.Server{Loops: 1, Events: server.Events{
		Packet: func(l *server.PacketConn, p []byte, from socket.Addr) { l.SendTo(p, from) },
	}})
}

// runWeirServer serves on a free port until the process ends.
func runWeirServer(network string, ready func(addr string) error, srv *server.Server) error {
	addr, err := srv.Listen(network, "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := ready(addr.String()); err != nil {
		return err
	}
	return srv.Wait()
}
