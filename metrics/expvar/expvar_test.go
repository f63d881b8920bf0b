package expvar_test

import (
	"encoding/json"
	"expvar"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	weirvar "github.com/seed-2334f180/weir/metrics/expvar"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func TestPublish(t *testing.T) {
	srv := &server.Server{Loops: 2, Log: slog.New(slog.DiscardHandler), Events: server.Events{Data: func(c *server.Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	defer srv.Close()
	addr, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "abc")
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 3))
	require.NoError(t, err)

	weirvar.PublishServer("weir", srv)
	var got weirvar.Server
	require.NoError(t, json.Unmarshal([]byte(expvar.Get("weir").String()), &got))
	require.EqualValues(t, 1, got.Accepted)
	require.EqualValues(t, 3, got.BytesIn)
	require.Len(t, got.Loops, 2)
	require.Equal(t, []weirvar.Listener{{Addr: addr.String(), Accepted: 1}}, got.Listeners)

	g, err := loop.NewGroup(1, nil, loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	weirvar.PublishGroup("loops", g)
	done := make(chan struct{})
	require.NoError(t, g.Loops()[0].Post(func() { close(done) }))
	<-done
	var loops []weirvar.Loop
	require.NoError(t, json.Unmarshal([]byte(expvar.Get("loops").String()), &loops))
	require.Len(t, loops, 1)
	require.NotZero(t, loops[0].Turns)
}
