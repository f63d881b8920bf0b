package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	idleRequest = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	idleAnswer  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
)

// holdTLS is the role of a child process: it opens connections, gets one answer on each,
// and keeps them until its input ends.
func holdTLS(addr string, conns int) int {
	config := &tls.Config{InsecureSkipVerify: true}
	var all []net.Conn // otherwise the garbage collector closes them
	for range conns {
		c, err := tls.Dial("tcp", addr, config)
		if err == nil {
			_, err = io.WriteString(c, idleRequest)
		}
		if err == nil {
			_, err = http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		all = append(all, c)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(all)
	return 0
}

// BenchmarkIdleTLS reports the memory of the server for each TLS connection that is idle
// after one request: what the heap and the stacks take, in bytes. The descriptors of the
// process bound the number of connections.
func BenchmarkIdleTLS(b *testing.B) {
	var limit unix.Rlimit
	require.NoError(b, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	conns := int(min(limit.Cur, 2100) - 100)
	run := func(name string, listen func(b *testing.B) string) {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				addr := listen(b)
				hold(b, addr, 50) // what the server needs only once
				before, goroutines := inUse(), runtime.NumGoroutine()
				hold(b, addr, conns)
				b.ReportMetric(float64(inUse()-before)/float64(conns), "B/conn")
				b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/float64(conns), "goroutines/conn")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
	run("nethttp", func(b *testing.B) string {
		l, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS())
		require.NoError(b, err)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
		go srv.Serve(l) //nolint:errcheck // it ends by Close
		b.Cleanup(func() { srv.Close() })
		return l.Addr().String()
	})
	run("net", func(b *testing.B) string {
		l, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS())
		require.NoError(b, err)
		b.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func(c net.Conn) {
					defer c.Close()
					buf := make([]byte, 512)
					for {
						if _, err := c.Read(buf); err != nil {
							return
						}
						_, _ = io.WriteString(c, idleAnswer)
					}
				}(c)
			}
		}()
		return l.Addr().String()
	})
	run("events", func(b *testing.B) string {
		return serve(b, &server.Server{TLS: serverTLS(), Events: server.Events{Data: answerRequest}}).String()
	})
	run("handler", func(b *testing.B) string {
		return serve(b, &server.Server{TLS: serverTLS(), Handler: func(s *server.Session) error {
			for {
				line, err := s.ReadLine()
				if err != nil {
					return err
				}
				if line == "" {
					break
				}
			}
			_, err := s.WriteString(idleAnswer)
			return err
		}}).String()
	})
}

// answerRequest answers a request whose header is complete.
func answerRequest(c *server.Conn) error {
	if !bytes.HasSuffix(c.Peek(-1), []byte("\r\n\r\n")) {
		return nil
	}
	c.Next(-1)
	_, err := c.WriteString(idleAnswer)
	return err
}

// hold makes a child process keep connections until the benchmark ends.
func hold(b testing.TB, addr string, conns int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WEIR_TEST_ROLE=holdTLS", "WEIR_TEST_ADDR="+addr, "WEIR_TEST_CONNS="+strconv.Itoa(conns), noDelay)
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, "ready", strings.TrimSpace(line))
}

// inUse returns what the heap and the stacks of the process take.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
