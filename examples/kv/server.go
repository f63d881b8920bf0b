package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// A server is the store and those who talk to it. Every loop has a worker, and
// any of them may use any key.
type service struct {
	server.Server
	options options
	db      *store
	workers map[*loop.Loop]*worker
	begun   time.Time
}

// A client is a connection's state: what of a request has arrived.
type client struct {
	parser parser
	worker *worker
}

const (
	// A connection's requests wait while so much of its replies is queued.
	highWater = 64 << 10
	// What a loop reads at once, beyond what a request needs.
	readAhead = 64 << 10
)

func newServer(opts options, group *loop.Group) *service {
	s := &service{
		options: opts,
		db:      newStore(int64(opts.memory), group.Loops()),
		workers: make(map[*loop.Loop]*worker),
		begun:   time.Now(),
	}
	// A value that could be set can also be got.
	maxReply := int(opts.request)
	for _, l := range group.Loops() {
		s.workers[l] = &worker{srv: s, db: s.db, maxReply: maxReply}
	}
	s.Server = server.Server{
		Group:     group,
		Events:    server.Events{Open: s.open, Data: s.data, Closed: s.closed},
		MaxConns:  opts.max,
		HighWater: highWater,
		// Data looks at what is queued between two bursts of replies, each of
		// which may end with the longest one, and its head.
		MaxOutput: 2*highWater + 2*burst + bulkSize(maxReply),
		// An incomplete request is shorter than the limit. The buffer that it
		// is in may have doubled, and the rest be requests that wait.
		MaxInput: 2*int(opts.request) + readAhead,
		// When the server stops, the grace period ends all lingering first.
		Timeouts: server.Timeouts{Idle: opts.idle, Write: opts.write, Linger: opts.grace + time.Second},
	}
	return s
}

func (s *service) open(c *server.Conn) error {
	c.User = &client{
		parser: parser{limit: int(s.options.request)},
		worker: s.workers[c.Loop()],
	}
	return nil
}

// data executes the requests that have arrived. The replies of all of them
// leave together. While a client does not take its replies its requests wait:
// what is left unread is presented again when few are queued.
func (s *service) data(c *server.Conn) error {
	cl := c.User.(*client)
	w := cl.worker
	for {
		used, err := w.run(&cl.parser, c.Peek(-1))
		c.Discard(used)
		if len(w.out) > 0 {
			_, wrong := c.Write(w.out)
			if w.out = w.out[:0]; cap(w.out) > 4*burst {
				w.out = nil
			}
			if wrong != nil {
				return wrong
			}
		}
		if err != nil {
			c.Discard(c.Buffered())
			c.Close()
			return nil
		}
		if used == 0 || c.Queued() > highWater {
			return nil
		}
	}
}

// closed logs what is not a client's ordinary end.
func (s *service) closed(c *server.Conn, err error) {
	if err != nil && err != io.EOF {
		slog.Info("connection broken", "peer", c.RemoteAddr(), "err", err)
	}
}

// info tells of the server, in a few of the fields that Redis has.
func (w *worker) info([][]byte) {
	s := w.srv
	stats := s.Stats()
	var executed uint64
	for _, other := range s.workers {
		executed += other.commands.Load()
	}
	var b strings.Builder
	section := func(name string, fields ...any) {
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "# %s\r\n", name)
		for i := 0; i < len(fields); i += 2 {
			fmt.Fprintf(&b, "%v:%v\r\n", fields[i], fields[i+1])
		}
	}
	section("Server", "server_name", "weir-kv", "process_id", os.Getpid(),
		"uptime_in_seconds", int(time.Since(s.begun).Seconds()), "event_loops", len(s.workers))
	section("Clients", "connected_clients", stats.Conns, "maxclients", s.options.max)
	section("Memory", "used_memory", s.db.used.Load(), "maxmemory", int64(s.options.memory),
		"maxmemory_policy", "noeviction")
	section("Stats", "total_connections_received", stats.Accepted,
		"total_commands_processed", executed, "expired_keys", s.db.struck.Load())
	section("Keyspace")
	if n := s.db.size(); n > 0 {
		fmt.Fprintf(&b, "db0:keys=%d\r\n", n)
	}
	w.bulkString(b.String())
}
