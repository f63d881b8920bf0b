package metrics_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/metrics"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// serving returns a collector of a server that has echoed three bytes, and of a group.
func serving(t *testing.T) (c *metrics.Collector, address string) {
	srv := &server.Server{Loops: 2, Log: slog.New(slog.DiscardHandler), Events: server.Events{Data: func(c *server.Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	t.Cleanup(func() { srv.Close() })
	addr, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	conn, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "abc")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 3))
	require.NoError(t, err)

	g, err := loop.NewGroup(1, nil, loop.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { g.Close() })
	fired := make(chan struct{})
	_, err = g.Loops()[0].AfterFunc(time.Millisecond, func() { close(fired) })
	require.NoError(t, err)
	weirtest.Take(t, fired)

	c = metrics.New()
	require.NoError(t, c.AddServer("echo", srv))
	require.NoError(t, c.AddGroup("other", g))
	return c, addr.String()
}

func gather(t *testing.T, c prometheus.Collector) map[string]int {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	names := make(map[string]int)
	for _, f := range families {
		names[f.GetName()] = len(f.GetMetric())
	}
	return names
}

// The names, units and help texts follow Prometheus' conventions.
func TestConventions(t *testing.T) {
	c, _ := serving(t)
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestValues(t *testing.T) {
	c, address := serving(t)
	require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP weir_server_accepted_total Connections that were accepted.
# TYPE weir_server_accepted_total counter
weir_server_accepted_total{server="echo"} 1
# HELP weir_server_connections Open connections.
# TYPE weir_server_connections gauge
weir_server_connections{server="echo"} 1
# HELP weir_server_received_bytes_total Bytes received. Those of a Session count when it ends.
# TYPE weir_server_received_bytes_total counter
weir_server_received_bytes_total{server="echo"} 3
# HELP weir_listener_accepted_total Connections that the listener has accepted.
# TYPE weir_listener_accepted_total counter
weir_listener_accepted_total{listener="`+address+`",server="echo"} 1
`), "weir_server_accepted_total", "weir_server_connections", "weir_server_received_bytes_total", "weir_listener_accepted_total"))
	names := gather(t, c)
	require.Equal(t, 3, names["weir_loop_turns_total"], "the loops of the server and of the group")
	require.Equal(t, 3, names["weir_loop_callback_seconds"])
}

// The buckets of a histogram add up, and its sum is in seconds.
func TestHistograms(t *testing.T) {
	c, _ := serving(t)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	seen := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			h := m.GetHistogram()
			if h == nil {
				continue
			}
			seen++
			var last uint64
			for _, b := range h.GetBucket() {
				require.GreaterOrEqual(t, b.GetCumulativeCount(), last, f.GetName())
				last = b.GetCumulativeCount()
			}
			require.GreaterOrEqual(t, h.GetSampleCount(), last)
			if f.GetName() == "weir_loop_timer_lateness_seconds" && m.GetLabel()[0].GetValue() == "other/0" {
				require.EqualValues(t, 1, h.GetSampleCount())
				require.Positive(t, h.GetSampleSum())
				require.Less(t, h.GetSampleSum(), weirtest.Patience.Seconds())
			}
		}
	}
	require.Equal(t, 4*3, seen)
}

func TestNamesAreUsedOnce(t *testing.T) {
	c := metrics.New()
	require.NoError(t, c.AddServer("a", &server.Server{}))
	require.ErrorContains(t, c.AddServer("a", &server.Server{}), `"a"`)
	require.ErrorContains(t, c.AddGroup("a", nil), `"a"`)
	require.ErrorContains(t, c.AddGroup("", nil), "empty")
	require.Equal(t, 1, gather(t, c)["weir_server_connections"], "a server that has not started has metrics, too")
}

// The dashboard is valid JSON. Each metric that it names exists, and it shows every one.
func TestDashboard(t *testing.T) {
	var d struct {
		Panels []struct {
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Definition string }
		}
	}
	require.NoError(t, json.Unmarshal(metrics.Dashboard(), &d))
	c, _ := serving(t)
	exists := gather(t, c)
	shown := make(map[string]bool)
	name := regexp.MustCompile(`\bweir_\w+`)
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	check := func(expr, where string) {
		found := name.FindAllString(expr, -1)
		require.NotEmpty(t, found, "%s: %s", where, expr)
		for _, n := range found {
			if exists[n] == 0 {
				n = suffix.ReplaceAllString(n, "")
			}
			require.NotZero(t, exists[n], "%s names %s", where, n)
			shown[n] = true
		}
		require.Equal(t, strings.Count(expr, "("), strings.Count(expr, ")"), expr)
	}
	for _, p := range d.Panels {
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		require.True(t, p.Type == "row" || len(p.Targets) > 0, p.Title)
		for _, q := range p.Targets {
			check(q.Expr, p.Title)
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			check(v.Definition, "a variable")
		}
	}
	delete(exists, "weir_server_accepted_total") // the panel shows it by listener
	for n := range exists {
		require.True(t, shown[n], "no panel shows %s", n)
	}
}
