package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Requests that arrive in one record are all answered, in one call of Handler each.
func TestTLSHandlerPipelines(t *testing.T) {
	for name, read := range map[string]func(s *server.Session) (string, error){
		"by ReadLine": func(s *server.Session) (string, error) { return s.ReadLine() },
		"by Conn": func(s *server.Session) (string, error) { // it takes no more than its line
			var line []byte
			for b := make([]byte, 1); ; {
				if _, err := s.Conn().Read(b); err != nil {
					return "", err
				}
				if b[0] == '\n' {
					return string(line), nil
				}
				line = append(line, b[0])
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := make(chan string, 1000)
			addr := serve(t, &server.Server{TLS: serverTLS(), Handler: func(s *server.Session) error {
				line, err := read(s)
				if err != nil {
					return err
				}
				calls <- line
				_, err = s.WriteLine(line)
				return err
			}})
			c := tlsClient(t, addr, clientTLS())
			text := strings.Repeat("a line\n", 100)
			send(t, c, text)
			expect(t, c, text)
			send(t, c, "half of ")
			send(t, c, "a line\n")
			expect(t, c, "half of a line\n")
			require.NoError(t, c.Close())
			weirtest.Eventually(t, func() bool { return len(calls) == 101 }, "a call for each line")
		})
	}
}

// Idle connections have no goroutine, after their handshakes and after a request.
func TestTLSIdleConnectionsHaveNoGoroutine(t *testing.T) {
	conns := 1000
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if room := int(limit.Cur)/2 - 50; room < conns {
		conns = room
		t.Logf("the process may open %d descriptors, so there are %d connections and not 1000", limit.Cur, conns)
	}
	if testing.Short() || race.Enabled {
		conns = min(conns, 50) // handshakes take long
	}
	config := clientTLS()
	// A handshake that resumes a session of TLS 1.2 takes the least time.
	config.MaxVersion, config.ClientSessionCache = tls.VersionTLS12, tls.NewLRUClientSessionCache(1)
	srv := &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo}}
	addrs := []socket.Addr{serve(t, srv)}
	handler, err := srv.ListenService("tcp4", "127.0.0.1:0", &server.Service{TLS: srv.TLS, Handler: echoHandler})
	require.NoError(t, err)
	addrs = append(addrs, handler)
	before := runtime.NumGoroutine()
	all := make([]*tls.Conn, conns)
	for i := range all {
		all[i] = tlsClient(t, addrs[i%2], config)
		send(t, all[i], "hello")
		expect(t, all[i], "hello")
	}
	const parked = 10 // goroutines of the loops that wait for the next call
	weirtest.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+parked }, "no goroutine for a connection")
	for _, c := range all {
		require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
		send(t, c, "again")
		expect(t, c, "again")
	}
}

// The methods of a Session move plain bytes.
func TestTLSSessionMethods(t *testing.T) {
	text := strings.Repeat("0123456789", 5000)
	steps := map[string]struct {
		send, want string
		f          func(s *server.Session) error
	}{
		"Read": {"in", "out", func(s *server.Session) error {
			buf := make([]byte, 2)
			_, err := io.ReadFull(s, buf)
			require.Equal(t, "in", string(buf))
			_, _ = s.Write([]byte("out"))
			return err
		}},
		"Peek and Discard": {"a line\r\nanother", "5", func(s *server.Session) error {
			p, err := s.Peek(3)
			require.Equal(t, "a l", string(p))
			require.Equal(t, 2, s.Discard(2))
			line, _ := s.ReadLine()
			require.Equal(t, "line", line)
			require.Equal(t, 7, s.Buffered())
			require.Equal(t, 7, s.Discard(100))
			_, _ = s.WriteString("5")
			return err
		}},
		"ReadLineMax": {"123456\n", "1234", func(s *server.Session) error {
			_, err := s.ReadLineMax(5)
			require.ErrorIs(t, err, unix.EMSGSIZE)
			line, err := s.ReadLineMax(6)
			require.Equal(t, "123456", line)
			_, _ = s.Writev([][]byte{[]byte("12"), []byte("34")})
			return err
		}},
		"ReadFrom": {"x", text, func(s *server.Session) error {
			_, err := s.Fread(make([]byte, 1))
			n, _ := s.ReadFrom(strings.NewReader(text))
			require.EqualValues(t, len(text), n)
			return err
		}},
		"WriteRune and Fwrite": {"x", "äend\n", func(s *server.Session) error {
			_, err := s.Fread(make([]byte, 1))
			_, _ = s.WriteRune('ä')
			_, _ = s.Fwrite([]byte("en"))
			_, _ = s.WriteLine("d")
			return err
		}},
		"refused": {"x", "", func(s *server.Session) error {
			_, err := s.Fread(make([]byte, 1))
			buf := make([]byte, 1)
			for _, f := range []func() error{
				func() error { _, err := s.Recv(buf, 0); return err },
				func() error { _, err := s.RecvMsg(nil, 0); return err },
				func() error { _, err := s.RecvBatch(nil, 0); return err },
				func() error { _, _, err := s.RecvFrom(buf, 0); return err },
				func() error { _, err := s.Send(buf, 0); return err },
				func() error { _, err := s.SendMsg(nil, 0); return err },
				func() error { _, err := s.SendBatch(nil, 0); return err },
				func() error { _, err := s.SendTo(buf, "localhost", "1", 0); return err },
				func() error { _, err := s.SendToAddr(buf, s.RemoteAddr(), 0); return err },
				func() error { _, err := s.ReadString(); return err },
				func() error { _, _, err := s.ReadRune(); return err },
			} {
				require.ErrorIs(t, f(), unix.EOPNOTSUPP)
			}
			return err
		}},
		"WriteTo": {"all of it", "ALL OF IT", func(s *server.Session) error {
			var all bytes.Buffer
			_, err := s.WriteTo(&all)
			_, _ = s.WriteString(strings.ToUpper(all.String()))
			return err
		}},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			addr := serve(t, &server.Server{
				TLS:     serverTLS(),
				Handler: func(s *server.Session) error { return firstOf(step.f(s), io.EOF) },
				Finish:  func(_ *server.Session, err error) { ended <- err },
			})
			c := tlsClient(t, addr, clientTLS())
			send(t, c, step.send)
			require.NoError(t, c.CloseWrite())
			got, err := io.ReadAll(bufio.NewReader(c))
			require.NoError(t, err)
			require.Equal(t, step.want, string(got))
			require.Equal(t, io.EOF, weirtest.Take(t, ended))
		})
	}
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Timeouts.Idle and Read hold after the handshake.
func TestTLSSessionTimesOut(t *testing.T) {
	for name, times := range map[string]server.Timeouts{
		"first byte": {FirstByte: 40 * time.Millisecond, Handshake: time.Hour},
		"idle":       {Idle: 40 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			addr := serve(t, &server.Server{
				TLS: serverTLS(), Handler: echoHandler, Timeouts: times,
				Finish: func(_ *server.Session, err error) { ended <- err },
			})
			c := tlsClient(t, addr, clientTLS())
			expectEnd(t, c)
			require.EqualError(t, weirtest.Take(t, ended), "server: the connection's "+name+" timeout of 40ms is over")
		})
	}
}

// Timeouts.Read is the receive timeout, and a timeout of crypto/tls's Read is not lasting.
func TestTLSSessionReadTimesOut(t *testing.T) {
	addr := serve(t, &server.Server{
		TLS: serverTLS(), Timeouts: server.Timeouts{Read: 30 * time.Millisecond},
		Handler: func(s *server.Session) error {
			for {
				line, err := s.ReadLine()
				if errors.Is(err, os.ErrDeadlineExceeded) {
					_, err = s.WriteLine("slow")
				} else if err == nil {
					_, err = s.WriteLine("got " + line)
				}
				if err != nil {
					return err
				}
			}
		},
	})
	c := tlsClient(t, addr, clientTLS())
	send(t, c, "a li")
	expect(t, c, "slow\n")
	send(t, c, "ne\n")
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		if line != "slow\n" {
			require.Equal(t, "got a line\n", line)
			break
		}
	}
}

// A session that ends leaves its answer to a client that still sends.
func TestTLSSessionEndsWithUnreadInput(t *testing.T) {
	finished := make(chan error, 1)
	addr := serve(t, &server.Server{
		TLS: serverTLS(),
		Handler: func(s *server.Session) error {
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			if _, err = s.WriteLine(line); err != nil {
				return err
			}
			if _, err = s.Peek(30000); err != nil {
				return err
			}
			for n := 0; n == 0; runtime.Gosched() { // more comes to the kernel
				if n, err = unix.IoctlGetInt(s.Registration().FD(), unix.SIOCINQ); err != nil {
					return err
				}
			}
			return errors.New("that is all")
		},
		Finish: func(_ *server.Session, err error) { finished <- err },
	})
	c := tlsClient(t, addr, clientTLS())
	send(t, c, "a line\n"+strings.Repeat("x", 300000))
	require.EqualError(t, weirtest.Take(t, finished), "that is all")
	for range 200 { // a reset would make one of these writes fail
		send(t, c, strings.Repeat("x", 1000))
	}
	expect(t, c, "a line\n")
	expectEnd(t, c)
}

// A Handler that returns nil at the end is not called again, although close_notify alone
// does not end the TCP stream.
func TestTLSSessionEndsAfterCloseNotify(t *testing.T) {
	finished := make(chan error, 1)
	addr := serve(t, &server.Server{
		TLS:     serverTLS(),
		Handler: func(s *server.Session) error { _, _ = s.Read(make([]byte, 10)); return nil },
		Finish:  func(_ *server.Session, err error) { finished <- err },
	})
	c := tlsClient(t, addr, clientTLS())
	send(t, c, "x")
	require.NoError(t, c.CloseWrite())
	require.Equal(t, io.EOF, weirtest.Take(t, finished))
	expectEnd(t, c)
}

// Timeouts.Read does not hold in the handshake.
func TestTLSHandshakeMayBeSlow(t *testing.T) {
	addr := serve(t, &server.Server{TLS: serverTLS(), Handler: echoHandler, Timeouts: server.Timeouts{Read: 30 * time.Millisecond}})
	c := tls.Client(&slow{Conn: client(t, addr), pause: 90 * time.Millisecond}, clientTLS())
	require.NoError(t, c.Handshake())
	send(t, c, "hello")
	expect(t, c, "hello")
}

// A slow pauses within its first write.
type slow struct {
	net.Conn
	pause time.Duration
}

func (s *slow) Write(p []byte) (int, error) {
	if s.pause == 0 {
		return s.Conn.Write(p)
	}
	n, err := s.Conn.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	<-time.After(s.pause)
	s.pause = 0
	m, err := s.Conn.Write(p[n:])
	return n + m, err
}

// A publisher writes to a Session while its Handler reads.
func TestTLSPublisher(t *testing.T) {
	sessions := make(chan *server.Session, 1)
	addr := serve(t, &server.Server{
		TLS: serverTLS(), Handler: echoHandler,
		Begin: func(s *server.Session) error { sessions <- s; return nil },
	})
	c := tlsClient(t, addr, clientTLS())
	s := weirtest.Take(t, sessions)
	const messages = 300
	published := make(chan error, 1)
	go func() {
		for range messages {
			if _, err := s.WriteString("news"); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	total := 0
	for range 100 {
		send(t, c, "echo")
		n, err := c.Read(make([]byte, 4))
		require.NoError(t, err)
		total += n
	}
	_, err := io.ReadFull(c, make([]byte, 4*(messages+100)-total))
	require.NoError(t, err)
	require.NoError(t, weirtest.Take(t, published))
}

// A panic of a callback of the tls.Config ends the connection alone.
func TestTLSPanicInTheHandshake(t *testing.T) {
	log := &journal{}
	config := serverTLS()
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != "localhost" {
			panic("on purpose")
		}
		return nil, nil
	}
	srv := &server.Server{TLS: config, Events: server.Events{Data: echo}, Log: log.logger()}
	addr := serve(t, srv)
	wrong := clientTLS()
	wrong.ServerName = "example.com"
	require.Error(t, tls.Client(client(t, addr), wrong).Handshake())
	c := tlsClient(t, addr, clientTLS())
	send(t, c, "hello")
	expect(t, c, "hello")
	require.EqualValues(t, 1, srv.Stats().Panics)
	require.Equal(t, 1, log.count("on purpose")-log.count("handshake has failed"), log.all())
}
