package server_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func header(t *testing.T, version byte, client string) string {
	t.Helper()
	a := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client))
	b, err := proxyproto.HeaderProxyFromAddrs(version, a, a).Format()
	require.NoError(t, err)
	return string(b)
}

// introduced returns a server that answers each line with the client's and the peer's
// address and the line.
func introduced(kind string, p *server.ProxyProtocol) *server.Server {
	srv := &server.Server{Loops: 2, ProxyProtocol: p}
	if kind == "Events" {
		srv.Events.Data = func(c *server.Conn) error {
			if i := bytes.IndexByte(c.Peek(-1), '\n'); i >= 0 {
				fmt.Fprintf(c, "%v %v %s", c.RemoteAddr(), c.PeerAddr(), c.Next(i+1))
			}
			return nil
		}
		return srv
	}
	srv.Begin = func(s *server.Session) error { s.SetIdle(time.Hour); return nil }
	srv.Handler = func(s *server.Session) error {
		line, err := s.ReadLine()
		if err == nil {
			_, err = fmt.Fprintf(s, "%v %v %s\n", s.RemoteAddr(), s.PeerAddr(), line)
		}
		return err
	}
	return srv
}

var kinds = []string{"Events", "Handler"}

// A header announces the client, in whichever pieces it arrives. What follows it is the
// connection's input.
func TestProxyHeader(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			addr := serve(t, introduced(kind, &server.ProxyProtocol{}))
			for _, c := range []struct{ name, header, client string }{
				{"version 1", header(t, 1, "192.0.2.1:1234"), "192.0.2.1:1234"},
				{"version 1, IPv6", header(t, 1, "[2001:db8::1]:65535"), "[2001:db8::1]:65535"},
				{"version 1, unknown", "PROXY UNKNOWN\r\n", ""},
				{"version 2", header(t, 2, "192.0.2.1:1234"), "192.0.2.1:1234"},
				{"version 2, IPv6", header(t, 2, "[2001:db8::1]:65535"), "[2001:db8::1]:65535"},
				{"version 2, mapped", header(t, 2, "[::ffff:192.0.2.1]:80"), "192.0.2.1:80"},
				{"version 2, local", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", ""},
				{"version 2, more than an address", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x10\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x00\x51" + strings.Repeat("\xe0\x00\x01x", 1021), "1.2.3.4:80"},
			} {
				t.Run(c.name, func(t *testing.T) {
					for _, piece := range []int{1, 7, 1 << 20} {
						if piece < 7 && len(c.header) > 200 {
							continue
						}
						peer := client(t, addr)
						text := c.header + "hello\n"
						for len(text) > 0 {
							n := min(piece, len(text))
							send(t, peer, text[:n])
							text = text[n:]
						}
						who := c.client
						if who == "" {
							who = peer.LocalAddr().String()
						}
						expect(t, peer, fmt.Sprintf("%s %s hello\n", who, peer.LocalAddr()))
					}
				})
			}
		})
	}
}

// A connection with a wrong header ends, no callback sees it, and the log says why.
func TestProxyHeaderThatIsWrong(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			var log journal
			srv := introduced(kind, &server.ProxyProtocol{})
			srv.Log = log.logger()
			if kind == "Events" {
				srv.Events.Open = func(*server.Conn) error { log.add("Open"); return nil }
			} else {
				srv.Begin = func(*server.Session) error { log.add("Begin"); return nil }
			}
			addr := serve(t, srv)
			for i, c := range []struct{ sent, why string }{
				{"GET / HTTP/1.1\r\n", "begins with something else"},
				{"PROXY TCP4 192.0.2.1 192.0.2.1 80 99999\r\n", "port"},
				{"PROXY TCP4 192.0.2.1 192.0.2.1 80 80\n", `must end with \r\n`},
				{"PROXY TCP4 " + strings.Repeat("1", 200), "no end in 107 bytes"},
				{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "65551 bytes, and the most is 4112"},
				{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x01x", "length"},
				{"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00", "version and command"},
			} {
				peer := client(t, addr)
				send(t, peer, c.sent)
				_, err := peer.Read(make([]byte, 1))
				require.Error(t, err, c.sent)
				weirtest.Eventually(t, func() bool { return srv.Stats().ProxyRefusals == uint64(i+1) && srv.Stats().Conns == 0 }, "it is counted")
				all := log.all()
				require.Len(t, all, i+1)
				require.Contains(t, all[i], c.why)
				require.Contains(t, all[i], peer.LocalAddr().String())
			}
			peer := client(t, addr)
			send(t, peer, "PROXY TC")
			require.NoError(t, peer.(*net.TCPConn).CloseWrite())
			_, err := peer.Read(make([]byte, 1))
			require.Error(t, err)
			weirtest.Eventually(t, func() bool { return log.count("the stream has ended") == 1 }, "it is logged")
		})
	}
}

// The time for the header ends a connection, but serves an optional one that has sent
// nothing.
func TestProxyHeaderThatIsLate(t *testing.T) {
	for _, optional := range []bool{false, true} {
		for _, sent := range []string{"", "PROXY TCP4"} {
			t.Run(fmt.Sprintf("%v %q", optional, sent), func(t *testing.T) {
				t.Parallel()
				const limit = 50 * time.Millisecond
				var log journal
				srv := introduced("Events", &server.ProxyProtocol{Optional: optional, Timeout: limit})
				conns, open := opened()
				srv.Log, srv.Events.Open = log.logger(), open
				addr := serve(t, srv)
				began := time.Now()
				peer := client(t, addr)
				send(t, peer, sent)
				if optional && sent == "" {
					c := weirtest.Take(t, conns)
					require.Equal(t, peer.LocalAddr().String(), c.RemoteAddr().String())
				} else {
					_, err := peer.Read(make([]byte, 1))
					require.Error(t, err)
					weirtest.Eventually(t, func() bool { return log.count("PROXY header timeout of 50ms") == 1 }, "it is logged")
				}
				require.GreaterOrEqual(t, time.Since(began), limit)
			})
		}
	}
}

func TestProxyHeaderIsOptional(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			addr := serve(t, introduced(kind, &server.ProxyProtocol{Optional: true}))
			peer := client(t, addr)
			send(t, peer, "PROX\n")
			expect(t, peer, fmt.Sprintf("%s %s PROX\n", peer.LocalAddr(), peer.LocalAddr()))
			peer = client(t, addr)
			send(t, peer, header(t, 2, "192.0.2.1:1234")+"hello\n")
			expect(t, peer, fmt.Sprintf("192.0.2.1:1234 %s hello\n", peer.LocalAddr()))
			peer = client(t, addr)
			require.NoError(t, peer.(*net.TCPConn).CloseWrite())
			expectEnd(t, peer)
		})
	}
}

// Only the proxies in From announce clients.
func TestProxyProtocolFrom(t *testing.T) {
	others, loopback := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("127.0.0.0/8")
	for _, c := range []struct {
		name string
		p    server.ProxyProtocol
		want string
	}{
		{"a proxy", server.ProxyProtocol{From: []netip.Prefix{others, loopback}}, "192.0.2.1:1234 %s hello\n"},
		{"another peer", server.ProxyProtocol{From: []netip.Prefix{others}}, ""},
		{"a direct client", server.ProxyProtocol{From: []netip.Prefix{others}, Direct: true}, "%[1]s %[1]s PROXY TCP4 192.0.2.1 192.0.2.1 1234 1234\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := introduced("Events", &c.p)
			peer := client(t, serve(t, srv))
			send(t, peer, header(t, 1, "192.0.2.1:1234")+"hello\n")
			if c.want == "" {
				_, err := peer.Read(make([]byte, 1))
				require.Error(t, err)
				require.EqualValues(t, 1, srv.Stats().ProxyRefusals)
				return
			}
			expect(t, peer, fmt.Sprintf(c.want, peer.LocalAddr()))
		})
	}
}

// A proxy may connect by a unix socket. The connection stays one of a unix socket.
func TestProxyHeaderOnAUnixSocket(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			peer := client(t, serveOn(t, introduced(kind, &server.ProxyProtocol{}), "unix", t.TempDir()+"/s"))
			send(t, peer, header(t, 1, "192.0.2.1:1234")+"hello\n")
			expect(t, peer, "192.0.2.1:1234  hello\n")
		})
	}
}

// Close ends the connections whose header has not come, and Shutdown waits for it.
func TestProxyHeaderAtTheEndOfTheServer(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, graceful := range []bool{false, true} {
				group, err := loop.NewGroup(1, nil, loop.Options{})
				require.NoError(t, err)
				defer group.Close()
				srv := introduced(kind, &server.ProxyProtocol{Timeout: time.Hour})
				srv.Loops, srv.Group = 0, group // which stays open
				peer := client(t, serve(t, srv))
				send(t, peer, "PROXY TCP4 192.0.2.1 192")
				weirtest.Eventually(t, func() bool { return srv.Stats().Accepted == 1 }, "the server has accepted it")
				if !graceful {
					require.NoError(t, srv.Close())
					expectReset(t, peer)
					continue
				}
				done := make(chan error, 1)
				go func() { done <- srv.Shutdown(t.Context()) }()
				weirtest.Eventually(t, func() bool { return len(srv.Addrs()) == 0 }, "the listeners have ended")
				send(t, peer, ".0.2.1 1234 1234\r\nhello\n")
				expect(t, peer, fmt.Sprintf("192.0.2.1:1234 %s hello\n", peer.LocalAddr()))
				expectEnd(t, peer)
				require.NoError(t, weirtest.Take(t, done))
			}
		})
	}
}

func TestProxyProtocolIsChecked(t *testing.T) {
	for _, c := range []struct {
		p    server.ProxyProtocol
		text string
	}{
		{server.ProxyProtocol{From: []netip.Prefix{{}}}, "server: ProxyProtocol.From has invalid Prefix, which is no prefix"},
		{server.ProxyProtocol{Timeout: -1}, "server: ProxyProtocol.Timeout is -1ns: it must not be negative"},
		{server.ProxyProtocol{Direct: true}, "server: ProxyProtocol.Direct is set, and From is empty, which means every peer"},
	} {
		_, err := introduced("Events", &c.p).Listen("tcp4", "127.0.0.1:0")
		require.EqualError(t, err, c.text)
		good := introduced("Events", nil)
		defer good.Close()
		_, err = good.ListenService("tcp4", "127.0.0.1:0", &server.Service{Events: good.Events, ProxyProtocol: &c.p})
		require.EqualError(t, err, c.text)
	}
}

// The header of curl is one of version 1.
func TestProxyHeaderOfCurl(t *testing.T) {
	curl := machine.NeedTool(t, "curl")
	srv := &server.Server{ProxyProtocol: &server.ProxyProtocol{}, Handler: func(s *server.Session) error {
		for {
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			if strings.TrimRight(line, "\r") == "" {
				break
			}
		}
		body := fmt.Sprint(s.RemoteAddr(), " ", s.PeerAddr())
		_, err := fmt.Fprintf(s, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return err
	}}
	addr := serve(t, srv)
	out, err := exec.Command(curl, "-sS", "--max-time", "20", "--haproxy-protocol", "http://"+addr.String()+"/").CombinedOutput()
	require.NoError(t, err, "%s", out)
	client, peer, _ := strings.Cut(string(out), " ")
	require.Equal(t, peer, client, "curl announces itself")
	require.Zero(t, srv.Stats().ProxyRefusals)
}
