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
