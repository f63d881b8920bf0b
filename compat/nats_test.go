package compat

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// A natsDialer is what nats.go takes to connect. The server listens by Go's net: it
// takes no listener.
type natsDialer struct{ f face }

func (d natsDialer) Dial(network, address string) (net.Conn, error) {
	return d.f.Dial(context.Background(), network, address)
}

func natsClient(tb testing.TB, f face) *nats.Conn {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	require.NoError(tb, err)
	s.Start()
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(tb, s.ReadyForConnections(patience))
	c, err := nats.Connect(s.ClientURL(), nats.SetCustomDialer(natsDialer{f}))
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	_, err = c.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	require.NoError(tb, err)
	return c
}

func TestNATS(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		c := natsClient(t, f)
		for i := range 100 {
			text := fmt.Sprint("message ", i)
			r, err := c.Request("echo", []byte(text), patience)
			require.NoError(t, err)
			require.Equal(t, text, string(r.Data))
		}
		sub, err := c.SubscribeSync("many")
		require.NoError(t, err)
		for i := range 10000 {
			require.NoError(t, c.Publish("many", []byte(fmt.Sprint(i))))
		}
		for i := range 10000 {
			m, err := sub.NextMsg(patience)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), string(m.Data))
		}
		require.NoError(t, c.Drain())
	})
}
