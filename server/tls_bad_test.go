package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// record returns a TLS record.
func record(kind byte, content ...byte) []byte {
	return append([]byte{kind, 3, 3, byte(len(content) >> 8), byte(len(content))}, content...)
}

// clientHello returns the record that begins a handshake.
func clientHello(t *testing.T) []byte {
	t.Helper()
	c := &capture{}
	require.ErrorIs(t, tls.Client(c, clientTLS()).Handshake(), errCaptured)
	return c.sent
}

// A capture is a net.Conn that keeps what is written, and from which nothing can be read.
type capture struct {
	net.Conn
	sent []byte
}

var errCaptured = errors.New("there is no peer")

func (c *capture) Write(p []byte) (int, error) { c.sent = append(c.sent, p...); return len(p), nil }
func (c *capture) Read([]byte) (int, error)    { return 0, errCaptured }
func (c *capture) Close() error                { return nil }

// What no client of TLS sends ends the connection, no callback sees it, the log says why
// once, and the server serves the next client.
func TestTLSBadHandshakes(t *testing.T) {
	hello := clientHello(t)
	const alert, handshake, data = 21, 22, 23
	for _, c := range []struct {
		name string
		sent []byte
		why  string
	}{
		{"an oversized record", []byte{handshake, 3, 1, 0xff, 0xff}, "oversized record received with length 65535"},
		{"a bad version", append([]byte{handshake, 0x99, 9}, hello[3:]...), "does not look like a TLS handshake"},
		{"a bad content type", append([]byte{99}, hello[1:]...), "does not look like a TLS handshake"},
		{"data first", record(data, make([]byte, 100)...), "does not look like a TLS handshake"},
		{"a flood of alerts", bytes.Repeat(record(alert, 1, 90), 100), "too many ignored records"},
		{"a flood of empty records", bytes.Repeat(record(handshake), 100), "unexpected message"},
		{"a message too long", record(handshake, 1, 0xff, 0xff, 0xff), "exceeds maximum"},
		{"SSLv2", append([]byte{0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16}, make([]byte, 37)...), "unsupported SSLv2 handshake received"},
		{"garbage as early data", append(bytes.Clone(hello), record(data, make([]byte, 100)...)...), "bad record MAC"},
		{"another message than ClientHello", record(handshake, 20, 0, 0, 0), "unexpected"},
	} {
		for name, srv := range tlsServers() {
			t.Run(c.name+", "+name, func(t *testing.T) {
				log := &journal{}
				srv.Log = log.logger()
				if srv.Handler == nil {
					srv.Events.Closed = func(c *server.Conn, err error) {
						if state, _ := c.TLS(); !state.HandshakeComplete {
							t.Error("a callback sees the connection")
						}
					}
				}
				addr := serve(t, srv)
				bad := client(t, addr)
				_, err := bad.Write(c.sent)
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, bad) // alerts, and the end or a reset
				weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the connection ends")
				weirtest.Eventually(t, func() bool { return log.count("handshake has failed") == 1 }, "the log says it")
				require.Equal(t, 1, log.count(c.why), log.all())
				sound := tlsClient(t, addr, clientTLS())
				send(t, sound, "hello")
				expect(t, sound, "hello")
			})
		}
	}
}

// A handshake whose ClientHello comes in records of one byte is a sound one.
func TestTLSHandshakeInFragmentsOfOneByte(t *testing.T) {
	for name, srv := range tlsServers() {
		t.Run(name, func(t *testing.T) {
			c := tls.Client(&fragmenting{Conn: client(t, serve(t, srv))}, clientTLS())
			send(t, c, "hello")
			expect(t, c, "hello")
		})
	}
}

// A fragmenting sends the first record in records of one byte.
type fragmenting struct {
	net.Conn
	begun bool
}

func (f *fragmenting) Write(p []byte) (int, error) {
	if f.begun {
		return f.Conn.Write(p)
	}
	f.begun = true
	var out []byte
	for _, b := range p[5:] {
		out = append(out, p[0], p[1], p[2], 0, 1, b)
	}
	_, err := f.Conn.Write(out)
	return len(p), err
}

// A record that is not encrypted, or no record, ends an established connection with an
// error that says why.
func TestTLSBadRecordsAfterTheHandshake(t *testing.T) {
	for _, c := range []struct {
		name string
		sent []byte
		why  string
	}{
		{"an oversized record", []byte{23, 3, 3, 0xff, 0xff}, "oversized record received with length 65535"},
		{"a bad version", []byte{23, 9, 9, 0, 1, 0}, "record with version 909"},
		{"a bad content type", record(99, make([]byte, 40)...), "tls:"},
		{"an empty record", record(23), "bad record MAC"},
		{"a flood of empty records", bytes.Repeat(record(23), 100), "bad record MAC"},
		{"an alert in the clear", record(21, 1, 0), "bad record MAC"},
		{"another ClientHello", clientHello(t), "tls:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
				end, closed := ended()
				if srv.Handler != nil {
					srv.Finish = func(_ *server.Session, err error) { end <- err }
				} else {
					srv.Events.Closed = closed
				}
				raw := client(t, serve(t, srv))
				good := tls.Client(raw, config)
				send(t, good, "hello")
				expect(t, good, "hello")
				_, err := raw.Write(c.sent)
				require.NoError(t, err)
				require.ErrorContains(t, weirtest.Take(t, end), c.why)
				_, _ = io.Copy(io.Discard, raw)
				weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the connection ends")
			})
		})
	}
}

// A client that asks for a renegotiation ends its connection, and no other.
func TestTLSRenegotiationIsRefused(t *testing.T) {
	openssl := tool(t, "openssl")
	for name, srv := range tlsServers() {
		t.Run(name, func(t *testing.T) {
			end, closed := ended()
			if srv.Handler != nil {
				srv.Finish = func(_ *server.Session, err error) { end <- err }
			} else {
				srv.Events.Closed = closed
			}
			addr := serve(t, srv)
			cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", addr.String(), "-tls1_2")
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			shown := make([]byte, 0, 8<<10)
			for !strings.Contains(string(shown), "Verify return code") { // the handshake is over
				n, err := out.Read(shown[len(shown):cap(shown)])
				require.NoError(t, err, "%s", shown)
				shown = shown[:len(shown)+n]
			}
			send(t, in, "R\n")
			require.ErrorContains(t, weirtest.Take(t, end), "tls:")
			sound := tlsClient(t, addr, clientTLS())
			send(t, sound, "hello")
			expect(t, sound, "hello")
		})
	}
}
