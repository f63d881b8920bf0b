package net_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
)

// A site is an HTTP server on a Weir listener. It counts its connections.
type site struct {
	*httptest.Server
	conns atomic.Int64 // connections so far
}

// A protocol says how a client speaks to a site.
type protocol struct {
	name       string
	tls, http2 bool
}

var protocols = []protocol{{"HTTP/1.1", false, false}, {"HTTP/1.1 over TLS", true, false}, {"HTTP/2.0", true, true}}

func serveHTTP(t *testing.T, p protocol, handler http.Handler, config func(*http.Server)) *site {
	t.Helper()
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &site{Server: &httptest.Server{Listener: l, EnableHTTP2: p.http2, Config: &http.Server{Handler: handler}}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if config != nil {
		config(s.Config)
	}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	if p.tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// client is Go's client with a Weir dialer.
func (s *site) client(t *testing.T, p protocol) *http.Client {
	transport := &http.Transport{DialContext: new(weirnet.Dialer).DialContext, ForceAttemptHTTP2: p.http2, MaxIdleConnsPerHost: 100}
	if p.tls {
		roots := x509.NewCertPool()
		roots.AddCert(s.Certificate())
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func onProtocols(t *testing.T, test func(t *testing.T, p protocol)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { test(t, p) })
	}
}

// echoBody sends a request's body back, and names the protocol of the request.
var echoBody = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Protocol", r.Proto)
	w.Write(body)
})

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestHTTPWithGoClient(t *testing.T) {
	onProtocols(t, func(t *testing.T, p protocol) {
		s := serveHTTP(t, p, echoBody, nil)
		client := s.client(t, p)
		var clients sync.WaitGroup
		for i := range 20 {
			clients.Go(func() {
				for _, size := range []int{0, 1, 1000, 1 << 20} {
					body := randomBytes(size + i)
					r, err := client.Post(s.URL, "application/octet-stream", bytes.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					got, err := io.ReadAll(r.Body)
					r.Body.Close()
					if err != nil || !bytes.Equal(body, got) {
						t.Errorf("%d bytes came back, of %d (%v)", len(got), len(body), err)
					}
					if proto := r.Header.Get("Protocol"); !strings.HasPrefix(p.name, proto) {
						t.Error(proto)
					}
				}
			})
		}
		clients.Wait()
		require.Less(t, s.conns.Load(), int64(80), "connections are kept, though it may dial some more than it needs")
	})
}

// curl returns a command that fetches from a site.
func curl(t *testing.T, s *site, p protocol, args ...string) *exec.Cmd {
	t.Helper()
	path := machine.NeedTool(t, "curl")
	args = append([]string{"--silent", "--show-error", "--fail", "--max-time", "60"}, args...)
	switch {
	case p.http2:
		args = append(args, "--http2")
	default:
		args = append(args, "--http1.1")
	}
	if p.tls {
		file := filepath.Join(t.TempDir(), "ca.pem")
		cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		require.NoError(t, os.WriteFile(file, cert, 0o600))
		args = append(args, "--cacert", file)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	return out
}

func TestHTTPWithCurl(t *testing.T) {
	dir := t.TempDir()
	big := randomBytes(4 << 20)
	path := filepath.Join(dir, "big")
	require.NoError(t, os.WriteFile(path, big, 0o600))
	mux := http.NewServeMux()
	mux.Handle("/echo", echoBody)
	mux.Handle("/file/", http.StripPrefix("/file/", http.FileServer(http.Dir(dir))))
	onProtocols(t, func(t *testing.T, p protocol) {
		s := serveHTTP(t, p, mux, nil)
		t.Run("upload and download", func(t *testing.T) {
			got := output(t, curl(t, s, p, "--data-binary", "@"+path, s.URL+"/echo"))
			require.True(t, bytes.Equal(big, got), "%d bytes", len(got))
		})
		t.Run("file", func(t *testing.T) {
			got := output(t, curl(t, s, p, s.URL+"/file/big"))
			require.True(t, bytes.Equal(big, got), "%d bytes", len(got))
			got = output(t, curl(t, s, p, "--range", "1000-1999", s.URL+"/file/big"))
			require.True(t, bytes.Equal(big[1000:2000], got), "%d bytes", len(got))
		})
		t.Run("keep-alive", func(t *testing.T) {
			before := s.conns.Load()
			got := output(t, curl(t, s, p, "--data", "one", s.URL+"/echo", s.URL+"/echo", s.URL+"/echo"))
			require.Equal(t, "oneoneone", string(got))
			require.EqualValues(t, 1, s.conns.Load()-before)
		})
		t.Run("slow client", func(t *testing.T) {
			got := output(t, curl(t, s, p, "--limit-rate", "5M", s.URL+"/file/big"))
			require.True(t, bytes.Equal(big, got), "%d bytes", len(got))
		})
		t.Run("many at once", func(t *testing.T) {
			got := output(t, curl(t, s, p, "--parallel", "--parallel-immediate", "--parallel-max", "50", "--data", "x", s.URL+"/echo?[1-200]"))
			require.Equal(t, strings.Repeat("x", 200), string(got))
		})
	})
}

// Shutdown lets a running request end, and accepts no other.
func TestHTTPShutdown(t *testing.T) {
	onProtocols(t, func(t *testing.T, p protocol) {
		began, finish := make(chan struct{}), make(chan struct{})
		s := serveHTTP(t, p, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(began)
			<-finish
			io.WriteString(w, "done")
		}), nil)
		client := s.client(t, p)
		answer := make(chan string, 1)
		go func() {
			r, err := client.Get(s.URL)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			answer <- fmt.Sprint(string(body), err)
		}()
		<-began
		down := make(chan error, 1)
		go func() { down <- s.Config.Shutdown(t.Context()) }()
		require.Eventually(t, func() bool {
			c, err := weirnet.Dial("tcp", s.Listener.Addr().String())
			if err == nil {
				c.Close()
			}
			return err != nil
		}, time.Minute, time.Millisecond, "it listens no more")
		require.Empty(t, down)
		close(finish)
		require.Equal(t, "done<nil>", <-answer)
		require.NoError(t, <-down)
	})
}

// A handler that hijacks the connection gets the bytes that the client has sent already.
func TestHTTPHijack(t *testing.T) {
	s := serveHTTP(t, protocols[0], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, ok := c.(*weirnet.TCPConn); !ok {
			t.Errorf("%T", c)
		}
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		rw.Flush()
		io.Copy(c, rw)
	}), nil)
	c, err := weirnet.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nearly ")
	require.NoError(t, err)
	r := bufio.NewReader(c)
	answer, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	_, err = io.WriteString(c, "and late")
	require.NoError(t, err)
	require.NoError(t, c.(*weirnet.TCPConn).CloseWrite())
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "early and late", string(got))
}

// The server reads in the background while a handler runs, so it notices that the client
// has gone. When the handler returns, the server stops that read by a deadline. It loses
// no byte of the next request.
func TestHTTPBackgroundRead(t *testing.T) {
	gone := make(chan error, 1)
	began := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/wait", func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		gone <- r.Context().Err()
	})
	mux.Handle("/", echoBody)
	s := serveHTTP(t, protocols[0], mux, nil)

	c, err := weirnet.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range 200 {
		// The client sends two requests in one write. The server answers the second after
		// the first.
		_, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03dPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d", i, i+500)
		require.NoError(t, err)
		for _, want := range []int{i, i + 500} {
			answer, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%03d", want), string(body))
		}
	}
	_, err = io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-began
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-gone, context.Canceled)
}

// The server's timeouts close connections, and not before their time.
func TestHTTPTimeouts(t *testing.T) {
	const limit = 100 * time.Millisecond
	for _, c := range []struct {
		name   string
		config func(*http.Server, time.Duration)
		send   string // the client then stays silent
		want   string // what the server sends before it closes
	}{
		{"ReadHeaderTimeout", func(s *http.Server, limit time.Duration) { s.ReadHeaderTimeout = limit }, "GET / HTTP/1.1\r\nHo", ""},
		{"ReadTimeout", func(s *http.Server, limit time.Duration) { s.ReadTimeout = limit }, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", "i/o timeout"},
		{"IdleTimeout", func(s *http.Server, limit time.Duration) { s.IdleTimeout = limit }, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfull", "full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			machine.WithTime(t, limit, func(limit time.Duration) bool {
				s := serveHTTP(t, protocols[0], echoBody, func(s *http.Server) { c.config(s, limit) })
				start := time.Now()
				conn, err := weirnet.Dial("tcp", s.Listener.Addr().String())
				require.NoError(t, err)
				defer conn.Close()
				_, err = io.WriteString(conn, c.send)
				require.NoError(t, err)
				got, err := io.ReadAll(conn)
				require.GreaterOrEqual(t, time.Since(start), limit)
				if len(got) == 0 && (c.want != "" || err != nil) {
					return false // the time ended before the server had the header
				}
				require.NoError(t, err)
				require.Contains(t, string(got), c.want)
				return true
			})
		})
	}
	t.Run("WriteTimeout", func(t *testing.T) {
		failed := make(chan error, 1)
		s := serveHTTP(t, protocols[0], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 64<<20))
			failed <- err
		}), func(s *http.Server) { s.WriteTimeout = limit })
		conn, err := weirnet.Dial("tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") // the client does not read
		require.NoError(t, err)
		require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
	})
	t.Run("ResponseController", func(t *testing.T) {
		failed := make(chan error, 1)
		s := serveHTTP(t, protocols[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			err := errors.Join(rc.SetReadDeadline(time.Now().Add(limit)), rc.SetWriteDeadline(time.Now().Add(time.Minute)))
			if err == nil {
				_, err = io.ReadAll(r.Body)
			}
			failed <- err
		}), nil)
		conn, err := weirnet.Dial("tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
		require.NoError(t, err)
		require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
	})
}

// TLS without HTTP: a handshake within a deadline, a half close, and an end.
func TestTLSOverNetConn(t *testing.T) {
	pki := httptest.NewUnstartedServer(nil)
	pki.StartTLS()
	defer pki.Close()
	roots := x509.NewCertPool()
	roots.AddCert(pki.Certificate())
	c, s := connPair(t, "tcp")
	server := tls.Server(s, &tls.Config{Certificates: pki.TLS.Certificates})
	client := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	data := randomBytes(4 << 20)
	served := make(chan error, 1)
	go func() {
		got, err := io.ReadAll(server)
		if err == nil && !bytes.Equal(got, data) {
			err = fmt.Errorf("%d bytes came, of %d", len(got), len(data))
		}
		_, err2 := server.Write([]byte("thanks"))
		served <- errors.Join(err, err2, server.Close())
	}()
	require.NoError(t, client.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, client.HandshakeContext(t.Context()))
	_, err := client.Write(data)
	require.NoError(t, err)
	require.NoError(t, client.CloseWrite())
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, "thanks", string(got))
	require.NoError(t, <-served)

	// A handshake with a silent peer ends at its deadline.
	c, _ = connPair(t, "tcp")
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Millisecond)))
	err = tls.Client(c, &tls.Config{ServerName: "x"}).Handshake()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}
