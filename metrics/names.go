package metrics

import (
	_ "embed" // for dashboard.json
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// A metric is one number of T.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*T) float64
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

func ofLoop(name, help string, kind prometheus.ValueType, value func(*loop.Stats) float64) metric[loop.Stats] {
	return metric[loop.Stats]{prometheus.NewDesc("weir_loop_"+name, help, []string{"loop"}, nil), kind, value}
}

func ofServer(name, help string, kind prometheus.ValueType, value func(*server.Stats) float64) metric[server.Stats] {
	return metric[server.Stats]{prometheus.NewDesc("weir_server_"+name, help, []string{"server"}, nil), kind, value}
}

func ofListener(name, help string, kind prometheus.ValueType, value func(*server.ListenerStats) float64) metric[server.ListenerStats] {
	return metric[server.ListenerStats]{prometheus.NewDesc("weir_listener_"+name, help, []string{"server", "listener"}, nil), kind, value}
}

var loopMetrics = []metric[loop.Stats]{
	ofLoop("turns_total", "Turns of the loop.", counter, func(s *loop.Stats) float64 { return float64(s.Turns) }),
	ofLoop("events_total", "Events that the kernel has reported.", counter, func(s *loop.Stats) float64 { return float64(s.Events) }),
	ofLoop("busy_seconds_total", "Time in turns, estimated from the turns that are measured. Its rate is the load.", counter,
		func(s *loop.Stats) float64 { return s.Busy.Seconds() }),
	ofLoop("wakes_total", "Waits that another goroutine has ended.", counter, func(s *loop.Stats) float64 { return float64(s.Wakes) }),
	ofLoop("sleeps_total", "Times that the loop has parked or blocked.", counter, func(s *loop.Stats) float64 { return float64(s.Sleeps) }),
	ofLoop("alone_waits_total", "Waits without the loop, of calls on its only busy descriptor.", counter, func(s *loop.Stats) float64 { return float64(s.Alone) }),
	ofLoop("naps_total", "Short sleeps so that goroutines run that were woken long before.", counter, func(s *loop.Stats) float64 { return float64(s.Naps) }),
	ofLoop("roused_loops_total", "Loops that slept over events, and that this one has woken.", counter, func(s *loop.Stats) float64 { return float64(s.Roused) }),
	ofLoop("lingers_total", "Times that the loop has blocked in epoll_wait and kept its P.", counter, func(s *loop.Stats) float64 { return float64(s.Lingers) }),
	ofLoop("polls_total", "Busy polls before a sleep.", counter, func(s *loop.Stats) float64 { return float64(s.Polls) }),
	ofLoop("vain_polls_total", "Busy polls that found nothing.", counter, func(s *loop.Stats) float64 { return float64(s.VainPolls) }),
	ofLoop("tasks_total", "Posted tasks that have run.", counter, func(s *loop.Stats) float64 { return float64(s.Tasks) }),
	ofLoop("timers_armed_total", "Times that a timer was armed or moved.", counter, func(s *loop.Stats) float64 { return float64(s.TimersArmed) }),
	ofLoop("goroutines_woken_total", "Goroutines that the loop has woken.", counter, func(s *loop.Stats) float64 { return float64(s.Woken) }),
	ofLoop("goroutines_started_total", "Goroutines that the loop has started.", counter, func(s *loop.Stats) float64 { return float64(s.Started) }),
	ofLoop("panics_total", "Panics of tasks, timers and handlers.", counter, func(s *loop.Stats) float64 { return float64(s.Panics) }),
	ofLoop("registered_descriptors", "Descriptors on the loop.", gauge, func(s *loop.Stats) float64 { return float64(s.Registered) }),
	ofLoop("armed_timers", "Timers that are armed.", gauge, func(s *loop.Stats) float64 { return float64(s.Timers) }),
	ofLoop("queued_tasks", "Tasks, pokes and functions of a turn's end that wait.", gauge, func(s *loop.Stats) float64 { return float64(s.Queued) }),
	ofLoop("goroutine_backlog", "Goroutines that were woken or started and have not run since.", gauge, func(s *loop.Stats) float64 { return float64(s.Backlog) }),
}

var serverMetrics = []metric[server.Stats]{
	ofServer("accepted_total", "Connections that were accepted.", counter, func(s *server.Stats) float64 { return float64(s.Accepted) }),
	ofServer("dialed_total", "Connections of Dial.", counter, func(s *server.Stats) float64 { return float64(s.Dialed) }),
	ofServer("attached_total", "Connections of Attach.", counter, func(s *server.Stats) float64 { return float64(s.Attached) }),
	ofServer("refused_total", "Connections that MaxConnsPerIP or Control has refused.", counter, func(s *server.Stats) float64 { return float64(s.Refused) }),
	ofServer("full_total", "Times that a listener began to wait because MaxConns connections were open.", counter, func(s *server.Stats) float64 { return float64(s.Full) }),
	ofServer("connections", "Open connections.", gauge, func(s *server.Stats) float64 { return float64(s.Conns) }),
	ofServer("received_bytes_total", "Bytes received. Those of a Session count when it ends.", counter, func(s *server.Stats) float64 { return float64(s.BytesIn) }),
	ofServer("sent_bytes_total", "Bytes that the kernel has taken. Those of a Session count when it ends.", counter, func(s *server.Stats) float64 { return float64(s.BytesOut) }),
	ofServer("received_packets_total", "Datagrams received.", counter, func(s *server.Stats) float64 { return float64(s.PacketsIn) }),
	ofServer("sent_packets_total", "Datagrams that the kernel has taken.", counter, func(s *server.Stats) float64 { return float64(s.PacketsOut) }),
	ofServer("pauses_total", "Times that accepting or receiving began to pause because system calls fail.", counter, func(s *server.Stats) float64 { return float64(s.Pauses) }),
	ofServer("accept_delays_total", "Times that Rates has made a listener wait.", counter, func(s *server.Stats) float64 { return float64(s.AcceptDelays) }),
	ofServer("read_delays_total", "Times that Rates has made the reading from a connection wait.", counter, func(s *server.Stats) float64 { return float64(s.ReadDelays) }),
	ofServer("write_delays_total", "Times that Rates has made the sending to a connection wait.", counter, func(s *server.Stats) float64 { return float64(s.WriteDelays) }),
	ofServer("memory_ended_total", "Connections that MaxMemory has ended.", counter, func(s *server.Stats) float64 { return float64(s.Ended) }),
	ofServer("memory_bytes", "Bytes that count for MaxMemory.", gauge, func(s *server.Stats) float64 { return float64(s.Memory) }),
	ofServer("running_handlers", "Goroutines that run Begin or Handler.", gauge, func(s *server.Stats) float64 { return float64(s.Handlers) }),
	ofServer("waiting_sessions", "Sessions that wait because of MaxHandlers.", gauge, func(s *server.Stats) float64 { return float64(s.Waiting) }),
	ofServer("stalls_total", "Times that a callback held up a loop for longer than StallAfter.", counter, func(s *server.Stats) float64 { return float64(s.Stalls) }),
	ofServer("longest_stall_seconds", "How long the longest stall has lasted.", gauge, func(s *server.Stats) float64 { return s.LongestStall.Seconds() }),
	ofServer("panics_total", "Panics of callbacks, handlers, tasks and timers.", counter, func(s *server.Stats) float64 { return float64(s.Panics) }),
}

var listenerMetrics = []metric[server.ListenerStats]{
	ofListener("accepted_total", "Connections that the listener has accepted.", counter, func(s *server.ListenerStats) float64 { return float64(s.Accepted) }),
	ofListener("refused_total", "Connections of the listener that MaxConnsPerIP or Control has refused.", counter, func(s *server.ListenerStats) float64 { return float64(s.Refused) }),
	ofListener("resting", "1 while the listener pauses because accept fails, and otherwise 0.", gauge, func(s *server.ListenerStats) float64 {
		if s.Resting {
			return 1
		}
		return 0
	}),
}

// A histogram exports some buckets of a loop.Histogram, in another unit.
type histogram struct {
	desc        *prometheus.Desc
	unit        float64 // of the loop's histogram, in that of the metric
	first, last int     // the buckets that have a bound of their own
	of          func(*loop.Stats) *loop.Histogram
}

// The times reach from a microsecond to 17 seconds, and batches from 1 to 4096 events.
var histograms = []histogram{
	inSeconds("timer_lateness_seconds", "How late timers have fired.", func(s *loop.Stats) *loop.Histogram { return &s.Late }),
	inSeconds("turn_seconds", "How long turns took. One turn in about 16 is measured.", func(s *loop.Stats) *loop.Histogram { return &s.TurnTimes }),
	inSeconds("callback_seconds", "How long handlers, tasks and timers took, in the turns that are measured.",
		func(s *loop.Stats) *loop.Histogram { return &s.Callbacks }),
	{
		desc: prometheus.NewDesc("weir_loop_batch_events", "Events of the turns that had any.", []string{"loop"}, nil),
		unit: 1, first: 0, last: 12,
		of: func(s *loop.Stats) *loop.Histogram { return &s.Batches },
	},
}

func inSeconds(name, help string, of func(*loop.Stats) *loop.Histogram) histogram {
	return histogram{prometheus.NewDesc("weir_loop_"+name, help, []string{"loop"}, nil), 1e-9, 10, 34, of}
}

// metric returns the classic histogram with the values of h.
func (x histogram) metric(h *loop.Histogram, label string) prometheus.Metric {
	buckets := make(map[float64]uint64, x.last-x.first+1)
	var sum uint64
	for i, n := range h.Counts {
		sum += n
		if i >= x.first && i <= x.last {
			buckets[float64(loop.HistogramBound(i))*x.unit] = sum
		}
	}
	return prometheus.MustNewConstHistogram(x.desc, sum, float64(h.Sum)*x.unit, buckets, label)
}

//go:embed dashboard.json
var dashboard []byte

// Dashboard returns a dashboard for Grafana, as JSON: load, turns, latencies and
// connections. Its variable datasource is the Prometheus data source.
func Dashboard() []byte { return slices.Clone(dashboard) }
