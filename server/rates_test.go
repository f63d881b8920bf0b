package server_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// A meter counts what comes since its beginning, and fails the test if that is more than a
// rate allows.
type meter struct {
	t     *testing.T
	began time.Time
	rate  int
	burst int
	mu    sync.Mutex
	sum   int
}

func newMeter(t *testing.T, rate, burst int) *meter {
	return &meter{t: t, began: time.Now(), rate: rate, burst: burst}
}

func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum += n
	most := float64(m.burst) + float64(m.rate)*time.Since(m.began).Seconds()
	if float64(m.sum) > most {
		m.t.Errorf("%d came in %v, and the most is %.0f", m.sum, time.Since(m.began), most)
	}
}

func (m *meter) total() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum
}

// pattern returns n bytes that do not repeat soon.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.Bytes()[:n]
}

const testRate, testBurst, testBytes = 200_000, 20_000, 80_000

// The server receives no faster than Rates.Read says, and loses nothing.
func TestRatesLimitReading(t *testing.T) {
	t.Parallel()
	want := pattern(testBytes)
	for _, kind := range []string{"Events", "Handler"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newMeter(t, testRate, testBurst)
			var got bytes.Buffer
			ended := make(chan error, 1)
			srv := &server.Server{Rates: server.Rates{Read: testRate, ReadBurst: testBurst}}
			if kind == "Events" {
				srv.Events.Data = func(c *server.Conn) error {
					p := c.Next(-1)
					m.add(len(p))
					got.Write(p)
					return nil
				}
				srv.Events.Closed = func(_ *server.Conn, err error) { ended <- err }
			} else {
				srv.Handler = func(s *server.Session) error {
					p := make([]byte, 64<<10)
					n, err := s.Read(p)
					m.add(n)
					got.Write(p[:n])
					return err
				}
				srv.Finish = func(_ *server.Session, err error) { ended <- err }
			}
			peer := client(t, serve(t, srv))
			_, err := peer.Write(want)
			require.NoError(t, err)
			require.NoError(t, peer.(*net.TCPConn).CloseWrite())
			require.Equal(t, io.EOF, weirtest.Take(t, ended))
			require.Equal(t, string(want), got.String())
		})
	}
}

// A Handler's buffered calls, and messages, keep the rate, too.
func TestRatesLimitEveryCallThatReads(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 999) + "\n"
	for _, c := range []struct {
		name string
		read func(*server.Session) (string, error)
	}{
		{"ReadLine", func(s *server.Session) (string, error) { l, err := s.ReadLine(); return l + "\n", err }},
		{"ReadFull", func(s *server.Session) (string, error) {
			p := make([]byte, len(line))
			n, err := io.ReadFull(s, p)
			return string(p[:n]), err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const lines = 10
			// A read may take the burst, of which the call returns only a line.
			m := newMeter(t, 20_000, 2000)
			ended := make(chan error, 1)
			srv := &server.Server{Rates: server.Rates{Read: 20_000, ReadBurst: 2000}}
			srv.Handler = func(s *server.Session) error {
				got, err := c.read(s)
				if err == nil {
					m.add(len(got))
					if got != line {
						return fmt.Errorf("%q", got)
					}
				}
				return err
			}
			srv.Finish = func(_ *server.Session, err error) { ended <- err }
			peer := client(t, serve(t, srv))
			send(t, peer, strings.Repeat(line, lines))
			weirtest.Eventually(t, func() bool { return m.total() == lines*len(line) }, "all is read before the end is sent")
			require.NoError(t, peer.(*net.TCPConn).CloseWrite())
			require.ErrorIs(t, weirtest.Take(t, ended), io.EOF)
		})
	}
}

// The server sends no faster than Rates.Write says, in the order of the writes. Close waits
// for the output for as long as it takes at the rate, although Linger is less.
func TestRatesLimitWriting(t *testing.T) {
	t.Parallel()
	want := pattern(testBytes)
	half, piece := len(want)/2, len(want)/8
	for _, c := range []struct {
		name  string
		setup func(*server.Server)
	}{
		{"one Write", func(srv *server.Server) {
			srv.Events.Open = func(c *server.Conn) error { _, err := c.Write(want); c.Close(); return err }
		}},
		{"many writes", func(srv *server.Server) {
			srv.Events.Open = func(c *server.Conn) error {
				for p := range bytes.SplitAfterSeq(want, []byte("0,")) {
					if _, err := c.Write(p); err != nil {
						return err
					}
				}
				c.Close()
				return nil
			}
		}},
		{"Writev and WriteAsync", func(srv *server.Server) {
			srv.Events.Open = func(c *server.Conn) error {
				var bufs [][]byte
				for i := 0; i < half; i += piece {
					bufs = append(bufs, want[i:i+piece])
				}
				_, err := c.Writev(bufs)
				if err == nil {
					err = c.WriteAsync(want[half:], func(error) {})
				}
				c.Close()
				return err
			}
		}},
		{"another goroutine", func(srv *server.Server) {
			srv.Events.Open = func(c *server.Conn) error {
				go func() {
					_, _ = c.Write(want[:half])
					_, _ = c.Write(want[half:])
					c.Close()
				}()
				return nil
			}
		}},
		{"Handler", func(srv *server.Server) {
			srv.Handler = func(s *server.Session) error { return io.EOF }
			srv.Begin = func(s *server.Session) error {
				if _, err := s.Write(want[:half]); err != nil {
					return err
				}
				_, err := s.ReadFrom(bytes.NewReader(want[half:]))
				if err == nil {
					err = io.EOF
				}
				return err
			}
		}},
		{"Handler's file", func(srv *server.Server) {
			path := t.TempDir() + "/file"
			require.NoError(t, os.WriteFile(path, want, 0o600))
			srv.Handler = func(s *server.Session) error { return io.EOF }
			srv.Begin = func(s *server.Session) error {
				f, err := os.Open(path)
				if err == nil {
					defer f.Close()
					_, err = s.ReadFrom(f)
				}
				return cmp.Or(err, io.EOF)
			}
		}},
		{"Handler's sends", func(srv *server.Server) {
			srv.Handler = func(s *server.Session) error { return io.EOF }
			srv.Begin = func(s *server.Session) error {
				for p := want; len(p) > 0; {
					n, err := s.Send(p[:min(len(p), 3000)], 0)
					if err != nil {
						return err
					}
					p = p[n:]
				}
				return io.EOF
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := &server.Server{
				Rates:    server.Rates{Write: testRate, WriteBurst: testBurst},
				Timeouts: server.Timeouts{Linger: 50 * time.Millisecond},
			}
			c.setup(srv)
			if srv.Handler == nil {
				srv.Events.Data = echo
			} else {
				srv.Timeouts.Linger = 0
			}
			m := newMeter(t, testRate, testBurst)
			peer := client(t, serve(t, srv))
			var got bytes.Buffer
			p := make([]byte, 64<<10)
			for {
				n, err := peer.Read(p)
				got.Write(p[:n])
				m.add(n)
				if err == io.EOF {
					break
				}
				require.NoError(t, err, "after %d bytes", got.Len())
			}
			require.Equal(t, string(want), got.String())
		})
	}
}

// The listeners of a service accept no faster than Rates.Accept says. Shutdown serves all
// that wait in the backlog.
func TestRatesLimitAccepting(t *testing.T) {
	t.Parallel()
	for _, reuse := range []bool{false, true} {
		t.Run(fmt.Sprint("ReusePort ", reuse), func(t *testing.T) {
			t.Parallel()
			const clients = 12
			m := newMeter(t, 40, 4)
			srv := &server.Server{Loops: 2, ReusePort: reuse, Rates: server.Rates{Accept: 40, AcceptBurst: 4}}
			all := make(chan struct{}, clients)
			srv.Events.Data = echo
			srv.Events.Open = func(*server.Conn) error {
				m.add(1)
				all <- struct{}{}
				return nil
			}
			addr := serve(t, srv)
			for range clients {
				client(t, addr)
			}
			for range clients {
				weirtest.Take(t, all)
			}
		})
	}
}

func TestRatesDoNotKeepShutdownFromServing(t *testing.T) {
	srv := &server.Server{Loops: 1, Rates: server.Rates{Accept: 1, AcceptBurst: 1, Read: 1, ReadBurst: 1}, Events: server.Events{Data: echo}}
	addr := serve(t, srv)
	var peers []net.Conn
	for range 3 {
		peer := client(t, addr)
		send(t, peer, "hello")
		peers = append(peers, peer)
	}
	weirtest.Eventually(t, func() bool { return srv.Stats().AcceptDelays > 0 && srv.Stats().ReadDelays > 0 }, "the rates are used up")
	go srv.Shutdown(t.Context())
	for _, peer := range peers {
		expect(t, peer, "hello")
		expectEnd(t, peer)
	}
}

// A connection or Session that has to wait for its output is counted.
func TestRatesCountWhatTheyDelay(t *testing.T) {
	t.Parallel()
	rates := server.Rates{Write: 1, WriteBurst: 1}
	for _, srv := range []*server.Server{
		{Rates: rates, Events: server.Events{Data: echo}},
		{Rates: rates, Handler: func(s *server.Session) error { _, err := s.WriteString("hello"); return err }},
	} {
		send(t, client(t, serve(t, srv)), "hello")
		weirtest.Eventually(t, func() bool { return srv.Stats().WriteDelays == 1 }, "it waits")
		require.NoError(t, srv.Close())
	}
}

func TestRatesAreChecked(t *testing.T) {
	for _, c := range []struct {
		rates server.Rates
		text  string
	}{
		{server.Rates{Accept: -1}, "server: Rates.Accept is -1: it must not be negative"},
		{server.Rates{Write: 1 << 40}, "server: Rates.Write is 1099511627776: the most is 2147483647"},
		{server.Rates{ReadBurst: 5}, "server: Rates.ReadBurst is 5, and Rates.Read is 0"},
	} {
		srv := &server.Server{Events: server.Events{Data: echo}, Rates: c.rates}
		_, err := srv.Listen("tcp4", "127.0.0.1:0")
		require.EqualError(t, err, c.text)
		good := &server.Server{Events: server.Events{Data: echo}}
		defer good.Close()
		_, err = good.ListenService("tcp4", "127.0.0.1:0", &server.Service{Events: server.Events{Data: echo}, Rates: &c.rates})
		require.EqualError(t, err, c.text)
	}
}
