package net_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/rpc"
	"net/rpc/jsonrpc"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Programs that people write over package net say the same over both faces. Each returns
// what it has seen.
func TestProgramsOnBothFaces(t *testing.T) {
	for name, program := range map[string]func(t *testing.T, f face) string{
		"reverse proxy": reverseProxy, "mail": mail, "JSON-RPC": jsonRPC, "datagrams with deadlines": datagramDeadlines,
		"descriptor": passDescriptor, "half-close": halfClose, "TLS with server names": serverNames, "syslog": systemLog,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, program(t, faces[0]), program(t, faces[1]))
		})
	}
}

// served returns a listener, and runs a server for each connection.
func served(t *testing.T, f face, network string, serve func(c net.Conn)) string {
	at := "127.0.0.1:0"
	if strings.HasPrefix(network, "unix") {
		dir, err := os.MkdirTemp("", "weir")
		require.NoError(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		at = dir + "/s"
	}
	l, err := f.Listen(network, at)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

func dialed(t *testing.T, f face, network, address string) net.Conn {
	c, err := f.Dial(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

func webServer(t *testing.T, f face, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	var err error
	s.Listener, err = f.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func reverseProxy(t *testing.T, f face) string {
	backend := webServer(t, f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s from %s: %d bytes, %v", r.Method, r.URL.Path, r.Header.Get("X-Forwarded-For"), len(body), err)
	}))
	to, err := url.Parse(backend.URL)
	require.NoError(t, err)
	transport := &http.Transport{DialContext: func(_ context.Context, network, address string) (net.Conn, error) { return f.Dial(network, address) }}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := webServer(t, f, &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
		Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(502)
			fmt.Fprintf(w, "%T %v", err, err)
		},
	})
	said := ""
	for _, path := range []string{"/one", "/two", "/abort"} {
		r, err := http.Post(proxy.URL+path, "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		said += fmt.Sprintln(r.Status, string(body), err)
		if path == "/abort" {
			said = said[:strings.LastIndex(strings.TrimSpace(said), "\n")+1] + r.Status // the error depends on when the backend closes
		}
	}
	return said
}

func mail(t *testing.T, f face) string {
	got := make(chan string, 1)
	at := served(t, f, "tcp4", func(c net.Conn) {
		text := textproto.NewConn(c)
		_ = text.PrintfLine("220 ready")
		for {
			line, err := text.ReadLine()
			switch verb, _, _ := strings.Cut(line, " "); {
			case err != nil:
				return
			case verb == "DATA":
				_ = text.PrintfLine("354 go on")
				body, err := text.ReadDotBytes()
				got <- fmt.Sprintf("%q %v", body, err)
				_ = text.PrintfLine("250 taken")
			case verb == "QUIT":
				_ = text.PrintfLine("221 bye")
				return
			default:
				_ = text.PrintfLine("250 ok")
			}
		}
	})
	c, err := smtp.NewClient(dialed(t, f, "tcp4", at), "localhost")
	require.NoError(t, err)
	require.NoError(t, errors.Join(c.Mail("a@localhost"), c.Rcpt("b@localhost")))
	w, err := c.Data()
	require.NoError(t, err)
	fmt.Fprint(w, "Subject: hello\r\n\r\n.dot\r\n")
	require.NoError(t, errors.Join(w.Close(), c.Quit()))
	return <-got
}

// Arithmetic is what jsonRPC serves.
type Arithmetic struct{}

// Add adds.
func (Arithmetic) Add(in []int, out *int) error { *out = in[0] + in[1]; return nil }

// Fail fails.
func (Arithmetic) Fail([]int, *int) error { return errors.New("no") }

func jsonRPC(t *testing.T, f face) string {
	s := rpc.NewServer()
	require.NoError(t, s.Register(Arithmetic{}))
	c := jsonrpc.NewClient(dialed(t, f, "unix", served(t, f, "unix", func(c net.Conn) { s.ServeCodec(jsonrpc.NewServerCodec(c)) })))
	var sum int
	err := c.Call("Arithmetic.Add", []int{1, 2}, &sum)
	failed := c.Call("Arithmetic.Fail", []int{}, new(int))
	return fmt.Sprint(sum, err, failed, c.Close(), c.Call("Arithmetic.Add", []int{1, 2}, &sum))
}

func datagramDeadlines(t *testing.T, f face) string {
	s, err := f.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer s.Close()
	c := dialed(t, f, "udp4", s.LocalAddr().String())
	buf := make([]byte, 8)
	var said []any
	for i := range 3 {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Duration(i)*time.Millisecond)))
		_, err := c.Read(buf)
		said = append(said, describe(err, c.LocalAddr(), c.RemoteAddr()))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		_, _ = c.Write([]byte("ask"))
		n, from, err := s.ReadFrom(buf)
		said = append(said, n, from.String() == c.LocalAddr().String(), err)
		_, _ = s.WriteTo([]byte("answer"), from)
		n, err = c.Read(buf)
		said = append(said, string(buf[:n]), err)
	}
	require.NoError(t, s.Close())
	_, _ = c.Write([]byte("nobody"))
	_, err = c.Read(buf)
	return fmt.Sprint(append(said, describe(err, c.LocalAddr(), c.RemoteAddr()))...)
}

func passDescriptor(t *testing.T, f face) string {
	got := make(chan string, 1)
	at := served(t, f, "unix", func(c net.Conn) {
		b, oob := make([]byte, 8), make([]byte, 64)
		n, oobn, flags, _, err := c.(interface {
			ReadMsgUnix(b, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error)
		}).ReadMsgUnix(b, oob)
		said := fmt.Sprintf("%q %d %#x %v", b[:n], oobn, flags, err)
		messages, _ := unix.ParseSocketControlMessage(oob[:oobn])
		for _, m := range messages {
			fds, _ := unix.ParseUnixRights(&m)
			for _, fd := range fds {
				file := os.NewFile(uintptr(fd), "")
				all, err := io.ReadAll(file)
				said += fmt.Sprintf(" %q %v", all, err)
				file.Close()
			}
		}
		got <- said
	})
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	fmt.Fprint(w, "through the pipe")
	w.Close()
	n, oobn, err := dialed(t, f, "unix", at).(interface {
		WriteMsgUnix(b, oob []byte, addr *net.UnixAddr) (n, oobn int, err error)
	}).WriteMsgUnix([]byte("take"), unix.UnixRights(int(r.Fd())), nil)
	return fmt.Sprint(n, oobn, err, <-got)
}

func halfClose(t *testing.T, f face) string {
	to := served(t, f, "tcp4", func(c net.Conn) {
		all, err := io.ReadAll(c)
		fmt.Fprintf(c, "%d bytes, %v", len(all), err)
	})
	between := served(t, f, "tcp4", func(c net.Conn) {
		up := dialed(t, f, "tcp4", to)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(c, up)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}()
		_, _ = io.Copy(up, c)
		_ = up.(interface{ CloseWrite() error }).CloseWrite()
		<-done
	})
	c := dialed(t, f, "tcp4", between)
	n, err := io.Copy(c, bytes.NewReader(make([]byte, 3<<20)))
	closed := c.(interface{ CloseWrite() error }).CloseWrite()
	_, late := c.Write([]byte("x"))
	all, failed := io.ReadAll(c)
	return fmt.Sprint(n, err, closed, describe(late, c.LocalAddr(), c.RemoteAddr()), string(all), failed)
}

func serverNames(t *testing.T, f face) string {
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS() // for its certificate
	defer secure.Close()
	config := &tls.Config{Certificates: secure.TLS.Certificates, NextProtos: []string{"echo"}}
	at := served(t, f, "tcp4", func(c net.Conn) {
		s := tls.Server(c, config)
		line, _ := bufio.NewReader(s).ReadString('\n')
		fmt.Fprintf(s, "%s %s %s", s.ConnectionState().ServerName, s.ConnectionState().NegotiatedProtocol, line)
		s.Close()
	})
	said := ""
	for _, name := range []string{"example.com", "other.test"} {
		trust := secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		trust.ServerName, trust.NextProtos = name, config.NextProtos
		c := tls.Client(dialed(t, f, "tcp4", at), trust)
		_, err := fmt.Fprintln(c, "hello")
		all, failed := io.ReadAll(c)
		said += fmt.Sprint(string(all), err, failed)
	}
	return said
}

func systemLog(t *testing.T, f face) string {
	dir, err := os.MkdirTemp("", "weir")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	s, err := f.ListenPacket("unixgram", dir+"/log")
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.SetDeadline(time.Now().Add(time.Minute)))
	w, err := syslog.Dial("unixgram", dir+"/log", syslog.LOG_INFO, "tag")
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, w.Err("it fails"))
	b := make([]byte, 200)
	n, from, err := s.ReadFrom(b)
	_, rest, _ := strings.Cut(string(b[:n]), "tag")
	_, what, _ := strings.Cut(rest, ": ")
	return fmt.Sprint(string(b[:3]), what, from, err)
}
