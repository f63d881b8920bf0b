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

// A service is the store and its server. Every loop has a worker. A worker may use
// any key.
type service struct {
	server.Server
	options options
	db      *store
	workers map[*loop.Loop]*worker
	begun   time.Time
}

// A client is a connection's state: how much of a request was parsed.
type client struct {
	parser parser
	worker *worker
}

const (
	// A connection's requests wait while this many bytes of its replies are queued.
	highWater = 64 << 10
	// How much a loop reads at once, beyond the longest request.
	readAhead = 64 << 10
	// The server takes no smaller MaxMemory.
	leastClientMemory = 1 << 20
)

// clientMemory returns the part of -memory that is for requests and replies.
func (o *options) clientMemory() size { return o.memory / 4 }

func newServer(opts options, group *loop.Group) *service {
	s := &service{
		options: opts,
		db:      newStore(int64(opts.memory-opts.clientMemory()), group.Loops()),
		workers: make(map[*loop.Loop]*worker),
		begun:   time.Now(),
	}
	// A reply is as long as the longest value that SET accepts.
	maxReply := int(opts.request)
	for _, l := range group.Loops() {
		s.workers[l] = &worker{srv: s, db: s.db, maxReply: maxReply}
	}
	s.Server = server.Server{
		Group:    group,
		Events:   server.Events{Open: s.open, Data: s.data, Closed: s.closed},
		MaxConns: opts.max,
		// A command takes microseconds, even on large values.
		StallAfter: 100 * time.Millisecond,
		HighWater:  highWater,
		// Data looks at what is queued between two bursts of replies, each of
		// which may end with the longest one, and its head.
		MaxOutput: 2*highWater + 2*burst + bulkSize(maxReply),
		// An incomplete request is shorter than the limit. The buffer that it
		// is in may have doubled, and the rest be requests that wait.
		MaxInput: 2*int(opts.request) + readAhead,
		// A client that never ends a request, or reads no replies, takes no memory from
		// the others: the one that holds most is disconnected.
		MaxMemory: max(int64(opts.clientMemory()), leastClientMemory),
		// When the server stops, the grace period is over before this time.
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

// data executes the requests that have arrived. All their replies leave
// together. While a client does not read its replies, its requests wait: the server
// presents them again when few bytes are queued.
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

// closed logs why a connection ended, unless its client ended it in the usual way.
func (s *service) closed(c *server.Conn, err error) {
	if err != nil && err != io.EOF {
		slog.Info("connection broken", "peer", c.RemoteAddr(), "error", err)
	}
}

// info replies with a few of the fields that Redis has for its state.
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
	section("Memory", "used_memory", s.db.used.Load()+stats.Memory, "maxmemory", int64(s.options.memory),
		"maxmemory_policy", "noeviction")
	section("Stats", "total_connections_received", stats.Accepted,
		"total_commands_processed", executed, "expired_keys", s.db.expired.Load())
	section("Keyspace")
	if n := s.db.size(); n > 0 {
		fmt.Fprintf(&b, "db0:keys=%d\r\n", n)
	}
	w.bulkString(b.String())
}
