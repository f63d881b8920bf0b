package simnet_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
)

// What sendfile(2) and splice(2) do for real sockets is a copy for simulated ones.
func TestCopies(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 30_000)
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, want, 0o600))
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(t, simnet.Options{})
		srv := &server.Server{Group: n.Host("10.0.0.1").Group(1), Events: server.Events{
			Data: func(*server.Conn) error { return nil },
			Open: func(c *server.Conn) error {
				f, err := os.Open(name)
				if err == nil {
					defer f.Close()
					if err = c.SendFile(f, 0, int64(len(want))); err == nil {
						c.Close()
					}
				}
				return err
			},
		}}
		_, err := srv.Listen("tcp", "10.0.0.1:80")
		require.NoError(t, err)
		defer srv.Close()

		relay := n.Host("10.0.0.3").Group(1)
		config := weirnet.ListenConfig{Group: relay}
		l, err := config.Listen(t.Context(), "tcp", "10.0.0.3:80")
		require.NoError(t, err)
		defer l.Close()
		go func() {
			to, err := l.Accept()
			require.NoError(t, err)
			defer to.Close()
			d := weirnet.Dialer{Group: relay}
			from, err := d.Dial("tcp", "10.0.0.1:80")
			require.NoError(t, err)
			defer from.Close()
			_, err = io.Copy(to, from)
			require.NoError(t, err)
		}()
		d := weirnet.Dialer{Group: n.Host("10.0.0.2").Group(1)}
		c, err := d.Dial("tcp", "10.0.0.3:80")
		require.NoError(t, err)
		defer c.Close()
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, len(want), len(got))
		require.True(t, bytes.Equal(want, got))
	})
}
