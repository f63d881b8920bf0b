package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { weirtest.ProgramMain(m, main) }

// start runs the program on a free port.
func start(t *testing.T, args ...string) *programtest.Program {
	t.Helper()
	return programtest.Start(t, append([]string{"-address", "127.0.0.1:0"}, args...)...)
}

// A session is a connection to a server: to this program, or to Redis.
type session struct {
	t testing.TB
	net.Conn
	replies *bufio.Reader
}

func connect(t testing.TB, network, address string) *session {
	t.Helper()
	c, err := net.Dial(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(3*programtest.Patience)))
	return &session{t: t, Conn: c, replies: bufio.NewReader(c)}
}

func open(t testing.TB, p *programtest.Program) *session { return connect(t, "tcp", p.Addr) }

func (s *session) send(words ...string) {
	s.t.Helper()
	_, err := s.Write(request(words...))
	require.NoError(s.t, err)
}

func (s *session) do(words ...string) string {
	s.t.Helper()
	s.send(words...)
	reply, err := s.reply()
	require.NoError(s.t, err)
	return reply
}

// reply reads one whole reply and returns its bytes.
func (s *session) reply() (string, error) {
	line, err := s.replies.ReadString('\n')
	if err != nil {
		return line, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch {
	case line[0] == '$' && n >= 0:
		rest := make([]byte, n+2)
		_, err = io.ReadFull(s.replies, rest)
		return line + string(rest), err
	case line[0] == '*':
		for range n {
			var part string
			if part, err = s.reply(); err != nil {
				return line, err
			}
			line += part
		}
	}
	return line, nil
}

func TestHelp(t *testing.T) {
	programtest.Helps(t, "-address", "-debug", "-loops", "-max", "-memory", "-request", "-idle", "-write", "-grace")
	out, err := weirtest.Command(context.Background(), "--help").Output()
	require.NoError(t, err)
	for _, name := range names() {
		require.Contains(t, string(out), " "+strings.ToUpper(name))
	}
}

func TestBadArguments(t *testing.T) {
	programtest.Refuses(t, []programtest.Refusal{
		{Args: "-address 6380", Code: 2, Want: []string{"-address", `"6380"`}},
		{Args: "-address 127.0.0.1:70000", Code: 2, Want: []string{"-address", `"70000"`, "65535"}},
		{Args: "-loops 0", Code: 2, Want: []string{"-loops", "0"}},
		{Args: "-max 0", Code: 2, Want: []string{"-max", "0"}},
		{Args: "-memory 0", Code: 2, Want: []string{"-memory", "0"}},
		{Args: "-memory lots", Code: 2, Want: []string{"-memory", `"lots"`, "MB"}},
		{Args: "-memory 9999999999GB", Code: 2, Want: []string{"-memory", "9999999999GB"}},
		{Args: "-request 1KB", Code: 2, Want: []string{"-request", "1KB", "64KB"}},
		{Args: "-request 1GB", Code: 2, Want: []string{"-request", "1GB", "512MB"}},
		{Args: "-idle -1s", Code: 2, Want: []string{"-idle", "-1s"}},
		{Args: "-write 5", Code: 2, Want: []string{"-write", `"5"`}},
		{Args: "-grace 0", Code: 2, Want: []string{"-grace", "0s"}},
		{Args: "-port 7", Code: 2, Want: []string{"-port", "-help"}},
		{Args: "6380", Code: 2, Want: []string{`"6380"`}},
		{Args: "-address 192.0.2.1:0", Code: 1, Want: []string{"-address", "192.0.2.1:0", "bind"}},
	})
}

// The client sends requests byte by byte, and then a hundred at once.
func TestFraming(t *testing.T) {
	p := start(t)
	s := open(t, p)
	for _, b := range request("SET", "key", "a\r\nb") {
		_, err := s.Write([]byte{b})
		require.NoError(t, err)
	}
	reply, err := s.reply()
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", reply)
	_, err = s.Write(bytes.Repeat(request("GET", "key"), 100))
	require.NoError(t, err)
	for range 100 {
		reply, err := s.reply()
		require.NoError(t, err)
		require.Equal(t, "$4\r\na\r\nb\r\n", reply)
	}
	p.Stop()
}

// The program reports a protocol error after the replies to earlier requests, and then
// closes the connection.
func TestProtocolErrorEndsTheConnection(t *testing.T) {
	p := start(t)
	s := open(t, p)
	_, err := s.Write([]byte("PING\r\n*1\r\n$x\r\nPING\r\nPING\r\n"))
	require.NoError(t, err)
	all, err := io.ReadAll(s)
	require.NoError(t, err)
	require.Equal(t, "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n", string(all))
	require.Equal(t, "+PONG\r\n", open(t, p).do("PING"))
	p.Stop()
}

// The client sends the longest request that is allowed, and then a longer one.
func TestLongRequests(t *testing.T) {
	p := start(t, "-request", "4MB")
	s := open(t, p)
	value := strings.Repeat("v", 4<<20-100)
	require.Equal(t, "+OK\r\n", s.do("SET", "k", value))
	reply := s.do("GET", "k")
	require.True(t, reply == "$4194204\r\n"+value+"\r\n", len(reply))
	s.send("SET", "k", value+value)
	reply, err := s.reply()
	require.NoError(t, err)
	require.Equal(t, "-ERR Protocol error: invalid bulk length\r\n", reply)
	require.NoError(t, s.Close())
	p.Stop()
}

// A client requests much and reads nothing. Then its requests wait. When it reads, it
// gets all replies.
func TestClientThatReadsLate(t *testing.T) {
	const count = 60
	p := start(t, "-request", "1MB")
	s := open(t, p)
	value := strings.Repeat("v", 1<<20-100)
	require.Equal(t, "+OK\r\n", s.do("SET", "k", value))
	_, err := s.Write(bytes.Repeat(request("GET", "k"), count)) // 60 MB of replies
	require.NoError(t, err)
	s.send("SET", "done", "1")

	// The program serves others meanwhile. It does not execute this client's last
	// request.
	other := open(t, p)
	for range 100 {
		require.Equal(t, "+PONG\r\n", other.do("PING"))
	}
	require.Equal(t, "$-1\r\n", other.do("GET", "done"))
	for range count {
		reply, err := s.reply()
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(reply, value+"\r\n"), len(reply))
	}
	reply, err := s.reply()
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", reply)
	p.Stop()
}

func TestClientThatNeverReadsIsCut(t *testing.T) {
	p := start(t, "-write", "200ms")
	s := open(t, p)
	require.Equal(t, "+OK\r\n", s.do("SET", "k", strings.Repeat("v", 4<<20)))
	_, err := s.Write(bytes.Repeat(request("GET", "k"), 20))
	require.NoError(t, err)
	other := open(t, p)
	require.Eventually(t, func() bool {
		return strings.Contains(other.do("INFO"), "connected_clients:1\r\n")
	}, programtest.Patience, 10*time.Millisecond)
	p.Stop()
}

func TestIdleClientIsCut(t *testing.T) {
	machine.WithTime(t, 200*time.Millisecond, func(idle time.Duration) bool {
		p := start(t, "-idle", idle.String())
		s := open(t, p)
		begun := time.Now()
		_, sent := s.Write(request("PING"))
		pong, err := s.reply()
		if errors.Join(sent, err) != nil {
			return false // the machine stood still for longer than the idle time
		}
		require.Equal(t, "+PONG\r\n", pong)
		_, err = s.reply()
		require.ErrorIs(t, err, io.EOF)
		require.GreaterOrEqual(t, time.Since(begun), idle)
		p.Stop()
		return true
	})
}

// A key exists until its time has come, and not afterwards.
func TestExpiryIsNeverEarly(t *testing.T) {
	p := start(t)
	const count = 50
	s := open(t, p)
	begun := make([]time.Time, count)
	ttl := make([]time.Duration, count)
	for i := range count {
		ttl[i] = time.Duration(20+7*i) * time.Millisecond
		begun[i] = time.Now()
		s.send("SET", fmt.Sprint(i), "v", "PX", fmt.Sprint(ttl[i].Milliseconds()))
	}
	for range count {
		_, err := s.reply()
		require.NoError(t, err)
	}
	for i := range count {
		for s.do("GET", fmt.Sprint(i)) != "$-1\r\n" {
		}
		require.GreaterOrEqual(t, time.Since(begun[i]), ttl[i])
	}
	require.Equal(t, ":0\r\n", s.do("DBSIZE"))
	p.Stop()
}

// Clients send without a pause when the signal comes. Each gets a whole number of
// replies, one for each executed request, and an orderly end.
func TestStopLosesNothing(t *testing.T) {
	p := start(t, "-grace", "1h")
	var clients sync.WaitGroup
	t.Cleanup(clients.Wait) // also when the test has failed
	started := make(chan struct{}, 4)
	for i := range cap(started) {
		s := open(t, p)
		const burst = 100
		sent, over := make(chan struct{}, 50), make(chan struct{})
		clients.Go(func() {
			requests := bytes.Repeat(request("INCR", fmt.Sprint("n", i)), burst)
			for {
				select {
				case sent <- struct{}{}:
				case <-over:
					return
				}
				if _, err := s.Write(requests); err != nil {
					return // the server has closed
				}
			}
		})
		clients.Go(func() {
			defer s.Close()
			defer close(over)
			for n := 1; ; n++ {
				reply, err := s.reply()
				if err != nil {
					// The kernel answers by a reset what the client sends after the end.
					if err != io.EOF && !errors.Is(err, syscall.ECONNRESET) || reply != "" {
						t.Errorf("client %d ends with %v and %q", i, err, reply)
					}
					return
				}
				if reply != ":"+strconv.Itoa(n)+"\r\n" {
					t.Errorf("client %d: reply %d is %q", i, n, reply)
					return
				}
				if n%burst == 0 {
					<-sent
				}
				if n == 10*burst {
					started <- struct{}{}
				}
			}
		})
	}
	for range cap(started) {
		<-started
	}
	p.Stop()
	clients.Wait()
}

// The program executes what arrived before the signal, and the client gets the replies.
func TestStopExecutesWhatArrived(t *testing.T) {
	p := start(t, "-grace", "1h")
	const count = 10_000
	s := open(t, p)
	require.Equal(t, "+PONG\r\n", s.do("PING"))
	p.Signal(syscall.SIGSTOP) // so that the program cannot read the requests yet
	_, err := s.Write(bytes.Repeat(request("INCR", "n"), count))
	require.NoError(t, err)
	p.Signal(syscall.SIGTERM)
	p.Signal(syscall.SIGCONT)
	for n := range count {
		reply, err := s.reply()
		require.NoError(t, err, n)
		require.Equal(t, fmt.Sprintf(":%d\r\n", n+1), reply)
	}
	_, err = s.reply()
	require.ErrorIs(t, err, io.EOF)
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

func TestStopWithClientThatNeverReads(t *testing.T) {
	const grace = 300 * time.Millisecond
	p := start(t, "-grace", grace.String())
	s := open(t, p)
	require.Equal(t, "+OK\r\n", s.do("SET", "k", strings.Repeat("v", 4<<20)))
	_, err := s.Write(bytes.Repeat(request("GET", "k"), 20))
	require.NoError(t, err)
	other := open(t, p)
	for range 100 { // by then the queue is full
		require.Equal(t, "+PONG\r\n", other.do("PING"))
	}
	begun := time.Now()
	p.Signal(syscall.SIGTERM)
	p.Await("grace period is over")
	require.GreaterOrEqual(t, time.Since(begun), grace)
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

// With -debug the program shows its connections on a page.
func TestDebugPage(t *testing.T) {
	p := start(t, "-debug", "127.0.0.1:0")
	c := connect(t, "tcp", p.Addr)
	require.Equal(t, "+PONG\r\n", c.do("PING"))
	var page string
	for page == "" {
		select {
		case line := <-p.Log:
			_, page, _ = strings.Cut(line, "url=")
		case <-time.After(programtest.Patience):
			t.Fatal("the log does not say where the page is")
		}
	}
	for _, query := range []string{"", "?data=overview", "?data=conns"} {
		answer, err := http.Get(page + query)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		if query == "?data=conns" {
			require.Contains(t, string(body), c.LocalAddr().String())
		}
	}
}

func TestHangup(t *testing.T) {
	programtest.StopsOnHangup(t, start(t))
}
