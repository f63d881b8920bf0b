package server_test

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func postsWhatPanics(l *loop.Loop) error {
	return l.Post(func() { panic("on purpose") })
}

// The server reports the panics of tasks and timers on its loops, even on loops that the
// program has made.
func TestPanicsOfTasksAndTimersAreReported(t *testing.T) {
	for _, own := range []bool{true, false} {
		var log journal
		conns, open := opened()
		srv := &server.Server{Log: log.logger(), Events: server.Events{Open: open, Data: echo}}
		if !own {
			g, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
			require.NoError(t, err)
			defer g.Close()
			srv.Group = g
		}
		c := client(t, serve(t, srv))
		l := weirtest.Take(t, conns).Loop()
		require.NoError(t, postsWhatPanics(l))
		_, err := l.AfterFunc(time.Millisecond, func() { panic("of a timer") })
		require.NoError(t, err)
		weirtest.Eventually(t, func() bool { return srv.Stats().Panics == 2 }, "both are counted")
		weirtest.Eventually(t, func() bool { return log.count("stack=server_test.") == 2 }, "the log says where")
		require.Equal(t, 1, log.count("on purpose"))
		require.Equal(t, 1, log.count("of a timer"))
		send(t, c, "x")
		expect(t, c, "x")
		require.NoError(t, srv.Close())
		if !own { // from now on the loops are not the server's
			before := l.Panics()
			require.NoError(t, postsWhatPanics(l))
			weirtest.Eventually(t, func() bool { return l.Panics() > before }, "it panics")
			require.EqualValues(t, 2, srv.Stats().Panics)
		}
	}
}
