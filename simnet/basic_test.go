package simnet_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
)

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(t, simnet.Options{Seed: 7, Link: simnet.Link{Latency: time.Millisecond}})
		srv := &server.Server{
			Group:    n.Host("10.0.0.1").Group(2),
			Timeouts: server.Timeouts{Idle: time.Hour},
			Events: server.Events{Data: func(c *server.Conn) error {
				_, err := c.Write(c.Next(-1))
				return err
			}},
		}
		_, err := srv.Listen("tcp", "10.0.0.1:80")
		require.NoError(t, err)
		d := weirnet.Dialer{Group: n.Host("10.0.0.2").Group(1)}
		c, err := d.Dial("tcp", "10.0.0.1:80")
		require.NoError(t, err)
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		buf := make([]byte, 5)
		_, err = io.ReadFull(c, buf)
		require.NoError(t, err)
		begin := time.Now()
		_, err = c.Read(buf)
		require.Equal(t, io.EOF, err)
		t.Log(time.Since(begin))
		c.Close()
		require.NoError(t, srv.Close())
	})
}
