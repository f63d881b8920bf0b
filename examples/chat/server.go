package main

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/loop"
)

type server struct {
	weir.Server
	options options
	room    *room
}

func newServer(opts options, group *loop.Group) *server {
	s := &server{options: opts, room: newRoom(group.Loops())}
	s.Server = weir.Server{
		Group: group,
		Events: weir.Events{
			Open: s.open, Data: s.data, End: s.end, Pressure: s.pressure, Close: s.closed,
		},
		MaxConns: opts.max,
		// A member whose queue is half full is not read from, and at a quarter
		// is told what was left out. Between half and full there is room for
		// any line, so that lines are left out under pressure only.
		HighWater: opts.queue / 2,
		LowWater:  opts.queue / 4,
		MaxOutput: opts.queue,
		// The kernel queues, too. It would take megabytes.
		SendBuffer: opts.queue,
		// When the server stops, the grace period ends all lingering first.
		Timeouts: weir.Timeouts{Write: opts.write, Linger: opts.grace + time.Second},
	}
	return s
}

func (s *server) open(c *weir.Conn) error {
	m := s.room.enter(c)
	c.User = m
	m.reply("welcome, %s; /help tells what you can do", m.nick)
	m.heard = c.Loop().Now()
	if s.options.idle == 0 {
		return nil
	}
	// Timeouts.Idle would not let us say goodbye.
	timer, err := c.Loop().AfterFunc(s.options.idle, func() { s.silent(m) })
	m.idle = timer
	return err
}

// silent is called when a member may have been silent for too long. The timer
// is not set again with every line: it finds out by itself.
func (s *server) silent(m *member) {
	rest := m.heard + s.options.idle - m.conn.Loop().Now()
	if rest > 0 {
		m.idle.Reset(rest)
		return
	}
	m.why = ": was silent for " + s.options.idle.String()
	m.reply("you were silent for %v: goodbye", s.options.idle)
	m.conn.Close()
}

func (s *server) data(c *weir.Conn) error {
	m := c.User.(*member)
	m.heard = c.Loop().Now()
	m.take(s.options.line)
	return nil
}

// end is called when a client has said all. The last line may lack its end.
func (s *server) end(c *weir.Conn) error {
	m := c.User.(*member)
	if last := c.Next(-1); len(last) > 0 && !m.long {
		m.line(last)
	}
	m.hear()
	c.Close()
	return nil
}

// pressure tells a slow reader what was left out, when there is room again.
func (s *server) pressure(c *weir.Conn, on bool) {
	if m := c.User.(*member); !on && m.left > 0 {
		m.tellLeft()
	}
}

func (s *server) closed(c *weir.Conn, err error) {
	m, entered := c.User.(*member)
	if !entered {
		return
	}
	if m.idle != nil {
		m.idle.Stop()
	}
	var late *weir.TimeoutError
	switch {
	case errors.As(err, &late) && late.Of == "write":
		m.why = ": did not read for " + s.options.write.String()
		slog.Info("slow reader cut", "nick", m.nick, "peer", c.RemoteAddr(), "err", err)
	case err != nil && err != io.EOF && m.why == "":
		m.why = ": the connection broke"
		slog.Info("connection broken", "nick", m.nick, "peer", c.RemoteAddr(), "err", err)
	}
	s.room.leave(m, m.why)
}
