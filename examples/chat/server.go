package main

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

type service struct {
	server.Server
	options options
	room    *room
}

func newServer(opts options, group *loop.Group) *service {
	s := &service{options: opts, room: newRoom(group.Loops())}
	s.Server = server.Server{
		Group: group,
		Events: server.Events{
			Open: s.open, Data: s.data, End: s.end, Pressure: s.pressure, Closed: s.closed,
		},
		MaxConns: opts.max,
		// Above half of its queue, a member is not read from. At a quarter it is
		// told how many lines were left out. Between half and full there is room
		// for any line, so lines are left out under pressure only.
		HighWater: opts.queue / 2,
		LowWater:  opts.queue / 4,
		MaxOutput: opts.queue,
		// The kernel queues, too, and would take megabytes.
		SendBuffer: opts.queue,
		// When the server stops, the grace period is over before this time.
		Timeouts: server.Timeouts{Write: opts.write, Linger: opts.grace + time.Second},
	}
	return s
}

func (s *service) open(c *server.Conn) error {
	m := s.room.enter(c)
	c.User = m
	m.reply("welcome, %s; /help tells what you can do", m.nick)
	m.heard = c.Loop().Now()
	if s.options.idle == 0 {
		return nil
	}
	// Timeouts.Idle closes without a goodbye.
	timer, err := c.Loop().AfterFunc(s.options.idle, func() { s.silent(m) })
	m.idle = timer
	return err
}

// silent is called when a member may have been silent for too long. A line does not
// reset the timer: silent sees when the last line came, and sets the timer again.
func (s *service) silent(m *member) {
	rest := m.heard + s.options.idle - m.conn.Loop().Now()
	if rest > 0 {
		m.idle.Reset(rest)
		return
	}
	m.why = ": was silent for " + s.options.idle.String()
	m.reply("you were silent for %v: goodbye", s.options.idle)
	m.conn.Close()
}

func (s *service) data(c *server.Conn) error {
	m := c.User.(*member)
	m.heard = c.Loop().Now()
	m.take(s.options.line)
	return nil
}

// end is called when a client has ended its stream. The last line may lack its
// newline.
func (s *service) end(c *server.Conn) error {
	m := c.User.(*member)
	if last := c.Next(-1); len(last) > 0 && !m.long {
		m.line(last)
	}
	m.hear()
	c.Close()
	return nil
}

// pressure tells a slow reader how many lines were left out, when there is room
// again.
func (s *service) pressure(c *server.Conn, on bool) {
	if m := c.User.(*member); !on && m.left > 0 {
		m.tellLeft()
	}
}

func (s *service) closed(c *server.Conn, err error) {
	m, entered := c.User.(*member)
	if !entered {
		return
	}
	if m.idle != nil {
		m.idle.Stop()
	}
	var late *server.TimeoutError
	switch {
	case errors.As(err, &late) && late.Of == "write":
		m.why = ": did not read for " + s.options.write.String()
		slog.Info("slow reader cut", "nick", m.nick, "peer", c.RemoteAddr(), "error", err)
	case err != nil && err != io.EOF && m.why == "":
		m.why = ": the connection broke"
		slog.Info("connection broken", "nick", m.nick, "peer", c.RemoteAddr(), "error", err)
	}
	s.room.leave(m, m.why)
}
