package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// collect returns Events that send each line on the channel.
func collect() (chan string, server.Events) {
	lines := make(chan string, 100)
	return lines, server.Events{Data: func(c *server.Conn) error {
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return nil
			}
			lines <- strings.TrimSpace(line)
		}
	}}
}

func TestDialTLS(t *testing.T) {
	for name, srv := range map[string]*server.Server{"events": {Events: server.Events{Data: echo}}, "handler": {Handler: echoHandler}} {
		t.Run(name, func(t *testing.T) {
			srv.TLS = serverTLS()
			addr := serve(t, srv)
			lines, events := collect()
			end, closed := ended()
			events.Closed = closed
			dialer := &server.Server{Events: events}
			t.Cleanup(func() { dialer.Close() })
			config := clientTLS()
			config.ServerName = "" // the address is in the certificate
			c, err := dialer.DialTLS(t.Context(), weirnet.Dialer{}, config, "tcp", addr.String(), nil, "user")
			require.NoError(t, err)
			require.Equal(t, "user", c.User)
			state, ok := c.TLS()
			require.True(t, ok)
			require.True(t, state.HandshakeComplete)
			for range 3 {
				_, err = c.WriteString("hello\n")
				require.NoError(t, err)
				require.Equal(t, "hello", weirtest.Take(t, lines))
			}
			c.Close()
			require.NoError(t, weirtest.Take(t, end))
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the other side ends")
		})
	}
}

func TestDialTLSFails(t *testing.T) {
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo}})
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	_, events := collect()
	dialer := &server.Server{Events: events}
	t.Cleanup(func() { dialer.Close() })
	hasty := &server.Server{Events: events, Timeouts: server.Timeouts{Handshake: 50 * time.Millisecond}}
	t.Cleanup(func() { hasty.Close() })
	dial := func(ctx context.Context, config *tls.Config, address string) error {
		_, err := dialer.DialTLS(ctx, weirnet.Dialer{}, config, "tcp", address, nil, nil)
		return err
	}
	require.ErrorContains(t, dial(t.Context(), nil, addr.String()), "certificate", "it is not trusted")
	var timeout *server.TimeoutError
	_, err = hasty.DialTLS(t.Context(), weirnet.Dialer{}, nil, "tcp", silent.Addr().String(), nil, nil)
	require.ErrorAs(t, err, &timeout)
	require.Equal(t, "handshake", timeout.Of)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, dial(gone, nil, silent.Addr().String()), context.Canceled)
	require.ErrorContains(t, dial(t.Context(), &tls.Config{Renegotiation: tls.RenegotiateFreelyAsClient}, addr.String()), "Renegotiation")
	require.ErrorContains(t, dial(t.Context(), nil, "localhost"), "ServerName")
	weirtest.Eventually(t, func() bool { return dialer.Stats().Conns == 0 }, "no connection is left")
}

func TestDialTLSToOpenSSL(t *testing.T) {
	openssl := tool(t, "openssl")
	cert, key := identityFiles(t)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			// With -rev the server sends each line back, reversed. With port 0 it prints the
			// port that it got.
			cmd := exec.Command(openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, version, "-rev")
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			stop := time.AfterFunc(weirtest.Patience, func() { _ = cmd.Process.Kill() })
			defer stop.Stop()
			port := 0
			for s := bufio.NewScanner(out); port == 0 && s.Scan(); {
				if _, after, ok := strings.Cut(s.Text(), "ACCEPT 127.0.0.1:"); ok {
					port, err = strconv.Atoi(after)
					require.NoError(t, err)
				}
			}
			require.NotZero(t, port)
			go io.Copy(io.Discard, out) //nolint:errcheck // the program ends
			lines, events := collect()
			dialer := &server.Server{Events: events}
			t.Cleanup(func() { dialer.Close() })
			c, err := dialer.DialTLS(t.Context(), weirnet.Dialer{}, clientTLS(), "tcp", "127.0.0.1:"+strconv.Itoa(port), nil, nil)
			require.NoError(t, err)
			for range 3 {
				_, err = c.WriteString("stressed\n")
				require.NoError(t, err)
				require.Equal(t, "desserts", weirtest.Take(t, lines))
			}
		})
	}
}
