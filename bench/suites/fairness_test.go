package suites

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	"github.com/seed-2334f180/weir/bench/wire"
	"github.com/stretchr/testify/require"
)

// Each subject answers requests, throws unanswered frames away, and delivers orders in one piece
// and in many.
func TestFloodServersOfEverySubject(t *testing.T) {
	request, answer := make([]byte, 64), make([]byte, 64)
	wire.PutHeader(request)
	copy(answer, request)
	answer[wire.KindAt] = wire.KindAnswer
	silent := make([]byte, 1000)
	wire.PutUnanswered(silent)
	for _, name := range subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.ServeFlood != nil }) {
		server, addr, err := subjects.StartServer(benchtest.Context(t), child.Place{Threads: 1}, "flood-server", subjects.Order{Subject: name, Size: 64})
		require.NoError(t, err)
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		send := func(p []byte) {
			_, err := c.Write(p)
			require.NoError(t, err)
		}
		expect := func(want []byte) {
			got := make([]byte, len(want))
			_, err := io.ReadFull(c, got)
			require.NoError(t, err, name)
			require.Equal(t, want, got, name)
		}
		for range 10 {
			send(silent)
		}
		send(request)
		expect(answer)
		for _, order := range []wire.Order{{Total: 1 << 20, Piece: 1 << 10}, {Total: 1 << 20, Piece: 1 << 20}} {
			send(wire.AppendOrder(nil, order))
			expect(make([]byte, order.Total))
		}
		send(request)
		expect(answer)
		require.NoError(t, c.Close())
		require.NoError(t, server.Stop())
	}
	benchtest.NoChildren(t)
}

func TestFairnessWithEveryFlood(t *testing.T) {
	for _, f := range []load.Flood{
		{Senders: 2},
		{Ordered: wire.Order{Total: 1 << 20, Piece: 1 << 10}},
		{Clients: 20},
	} {
		got, err := flood{unit: 1, load: f}.measure(benchtest.Context(t), testEnv(), "weir-events", 2, 64, 1000)
		require.NoError(t, err, "%+v", f)
		require.Positive(t, got[ratioP99], "%+v", f)
	}
	benchtest.NoChildren(t)
}

func TestFairnessSuite(t *testing.T) {
	opts := Options{Suites: []string{"fairness"}, Subjects: []string{"net", "raw"}, Settings: Settings{Floods: []string{"send"}}, Dur: 10 * time.Millisecond, Reps: 1}
	shown, ratios := runSuite(t, opts, ratioP99)
	require.Contains(t, shown, "one sends without end")
	require.Len(t, ratios, 1, "raw has no server for it")
}

// Where few descriptors are allowed, fewer clients connect.
func TestFewerClientsWithFewDescriptors(t *testing.T) {
	clients := func(files int) int { all := floods(files); return all[len(all)-1].load.Clients }
	require.Equal(t, 10_000, clients(20_000))
	require.Equal(t, 128, clients(256))
	require.Equal(t, 1, clients(64))
}
