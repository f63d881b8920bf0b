package metrics

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// A Collector collects the metrics of servers and of groups of loops. Make one with New,
// and register it with a prometheus.Registerer. It is concurrency-safe.
type Collector struct {
	mu      sync.Mutex // guards the rest
	names   map[string]bool
	groups  []namedGroup
	servers []namedServer
}

type namedGroup struct {
	name  string
	group *loop.Group
}

type namedServer struct {
	name   string
	server *server.Server
}

// New returns a Collector without servers and groups.
func New() *Collector { return &Collector{names: make(map[string]bool)} }

// AddServer adds a server, which the label server names. If the server has made its own
// loops, the collector has their metrics, too: the label loop is the server's name, a
// slash, and the loop's number. For a server with a Group use AddGroup, because servers
// may share one. The error is that of a name which is used already, or is empty.
func (c *Collector) AddServer(name string, s *server.Server) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.take("server", name); err != nil {
		return err
	}
	c.servers = append(c.servers, namedServer{name, s})
	return nil
}

// AddGroup adds the loops of a group. The label loop is the name, a slash, and the
// loop's number. The error is that of a name which is used already, or is empty.
func (c *Collector) AddGroup(name string, g *loop.Group) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.take("group", name); err != nil {
		return err
	}
	c.groups = append(c.groups, namedGroup{name, g})
	return nil
}

func (c *Collector) take(what, name string) error {
	if name == "" {
		return fmt.Errorf("metrics: add a %s: the name is empty", what)
	}
	if c.names[name] {
		return fmt.Errorf("metrics: add the %s %q: the name is used already", what, name)
	}
	c.names[name] = true
	return nil
}

// Describe sends the descriptions of all metrics.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range loopMetrics {
		to <- m.desc
	}
	for _, h := range histograms {
		to <- h.desc
	}
	for _, m := range serverMetrics {
		to <- m.desc
	}
	for _, m := range listenerMetrics {
		to <- m.desc
	}
}

// Collect sends the present values.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	groups, servers := c.groups, c.servers
	c.mu.Unlock()
	for _, g := range groups {
		for i, l := range g.group.Loops() {
			collectLoop(to, label(g.name, i), l.Stats())
		}
	}
	for _, s := range servers {
		if s.server.Group == nil {
			for i, stats := range s.server.LoopStats() {
				collectLoop(to, label(s.name, i), stats)
			}
		}
		stats := s.server.Stats()
		for _, m := range serverMetrics {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&stats), s.name)
		}
		for _, l := range s.server.ListenerStats() {
			for _, m := range listenerMetrics {
				to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&l), s.name, l.Addr.String())
			}
		}
	}
}

// label returns the value of the label loop.
func label(name string, i int) string { return name + "/" + strconv.Itoa(i) }

func collectLoop(to chan<- prometheus.Metric, label string, stats loop.Stats) {
	for _, m := range loopMetrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&stats), label)
	}
	for _, h := range histograms {
		to <- h.metric(h.of(&stats), label)
	}
}
