package load

import (
	"math"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	"github.com/stretchr/testify/require"
)

// pacedLoad runs a generator against a server of this subject.
func pacedLoad(t *testing.T, subject string, order Order) Result {
	t.Helper()
	server, addr, err := subjects.StartServer(benchtest.Context(t), alone, "echo-server", subjects.Order{Subject: subject, Size: order.Size})
	require.NoError(t, err)
	defer server.Stop() //nolint:errcheck // not what is tested
	order.Addr, order.ServerPID, order.Burst, order.Patience = addr, server.Pid(), 1, time.Minute
	got, err := child.Ask[Result](benchtest.Context(t), alone, "paced-load", order)
	require.NoError(t, err)
	return got
}

// punctualLoad is pacedLoad in a window that ended on time and in which the pace was kept. If the
// machine stands still at the end of a window, requests are missing that the generator had no time
// to send. If it stands still before the window, what became due then leaves in the window. If it
// is busy, the server is slower than the pace.
func punctualLoad(t *testing.T, subject string, order Order, kept func(Result) bool) Result {
	t.Helper()
	for range 50 {
		got := pacedLoad(t, subject, order)
		if got.Elapsed < order.Window+order.Window/10 && kept(got) {
			return got
		}
		t.Logf("a window of %v took %v, had %d requests, and left %d behind", order.Window, got.Elapsed, got.Requests, got.Behind)
	}
	t.Fatal("the pace is never kept")
	panic("unreachable")
}

func TestPaceIsKept(t *testing.T) {
	const rate, window = 2000, 250 * time.Millisecond
	got := punctualLoad(t, "net", Order{Conns: 4, Size: 16, Rate: rate, Window: window}, func(r Result) bool {
		due := rate * r.Elapsed.Seconds()
		return math.Abs(due-float64(r.Requests)) <= due/10+4
	})
	require.LessOrEqual(t, got.P50, got.P99)
	require.LessOrEqual(t, got.P99, got.P999)
}

// The server sleeps before one answer. What is due meanwhile waits, and that wait counts: a
// fifth of all requests here. A generator that follows answers would count one slow request.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	const rate = 1000
	got := punctualLoad(t, "stalling", Order{Conns: 1, Size: 16, Rate: rate, Window: 5 * wrong.Stall}, func(r Result) bool { return r.Behind <= 50 })
	require.Greater(t, got.P99, wrong.Stall/2)
	require.Greater(t, got.Requests, int64(rate*3*wrong.Stall/time.Second), "the requests that waited are answered")
	slow := got.Requests / 20
	require.Greater(t, slow, int64(1), "so more than one request in 100 was slow")
}

// A server that is slower than the pace leaves requests behind, and the generator says so.
func TestRequestsThatCannotLeaveAreCounted(t *testing.T) {
	got := punctualLoad(t, "stalling", Order{Conns: 1, Size: 16, Rate: 1000, Window: wrong.Stall}, func(Result) bool { return true })
	require.Greater(t, got.Behind, int64(10))
}

func TestDueTimesAreEquallyFarApart(t *testing.T) {
	g := &generator{}
	s := &streams{generator: g, conns: make([]stream, 2)}
	p := &pace{streams: s, interval: 1000, base: 500}
	for i := range s.conns {
		s.conns[i].request = int64(i)
	}
	require.Equal(t, time.Duration(500), p.due(&s.conns[0]))
	require.Equal(t, time.Duration(1500), p.due(&s.conns[1]))
	require.Equal(t, time.Duration(2500), p.due(&s.conns[0]))
	require.True(t, s.conns[0].busy)
	require.False(t, p.next(&s.conns[0]), "nothing is due")
	require.False(t, s.conns[0].busy)
	s.conns[0].behind, p.behind = 2, 2
	require.True(t, p.next(&s.conns[0]))
	require.Equal(t, int64(1), p.behind)
}
