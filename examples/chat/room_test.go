package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
)

// joining starts a server on some loops, and connects to it.
func joining(t *testing.T, loops int) (*service, net.Conn) {
	t.Helper()
	group, err := loop.NewGroup(loops, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	s := newServer(options{max: 2, line: 1000, queue: leastQueue, write: time.Minute, grace: time.Minute}, group)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, group.Close())
	})
	addr, err := s.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	client, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	require.NoError(t, client.SetDeadline(time.Now().Add(programtest.Patience)))
	return s, client
}

// While a loop is busy, a member that talks without end has to wait. The lines do
// not fill the program's memory.
func TestTalkerWaitsForBusyLoop(t *testing.T) {
	s, talker := joining(t, 2)
	_, err := io.ReadFull(talker, make([]byte, len("* welcome")))
	require.NoError(t, err)

	var busy *hub // the hub without a member
	for l, h := range s.room.hubs {
		empty := make(chan bool)
		require.NoError(t, l.Post(func() { empty <- len(h.members) == 0 }))
		if <-empty {
			busy = h
		}
	}
	require.NotNil(t, busy)
	release := make(chan struct{})
	require.NoError(t, busy.loop.Post(func() { <-release }))

	const size = 4 << 20
	line := append(bytes.Repeat([]byte{'x'}, 999), '\n')
	go func() {
		if _, err := talker.Write(append(bytes.Repeat(line, size/len(line)), "/quit\n"...)); err != nil {
			t.Error(err)
		}
	}()
	state := func() (pending, waiting int) {
		s.room.mu.Lock()
		defer s.room.mu.Unlock()
		return len(busy.pending), len(s.room.waiting)
	}
	require.Eventually(t, func() bool {
		_, waiting := state()
		return waiting == 1
	}, programtest.Patience, time.Millisecond)
	pending, _ := state()
	require.Greater(t, pending, mostPending)
	require.LessOrEqual(t, pending, mostPending+2*len(line))

	close(release)
	_, err = io.Copy(io.Discard, talker) // until the talker has said everything
	require.NoError(t, err)
	require.NoError(t, talker.Close())
}

// A member that says something and ends at once still sees its own lines.
func TestLastWordsAreSeen(t *testing.T) {
	for _, c := range []struct{ says, sees string }{
		{"hello\nbye", "<guest1> hello\n<guest1> bye\n"},
		{"hello\n/nick bob\n", "<guest1> hello\n* guest1 is now bob\n"},
		{"hello\n/quit\n", "<guest1> hello\n* goodbye\n"},
	} {
		s, client := joining(t, 1)
		in := bufio.NewReader(client)
		for line := ""; line != "* guest1 joined\n"; {
			var err error
			line, err = in.ReadString('\n')
			require.NoError(t, err)
		}

		// The loop finds the lines and the end together.
		release := make(chan struct{})
		require.NoError(t, s.Group.Loops()[0].Post(func() { <-release }))
		_, err := io.WriteString(client, c.says)
		require.NoError(t, err)
		require.NoError(t, client.(*net.TCPConn).CloseWrite())
		close(release)
		rest, err := io.ReadAll(in)
		require.NoError(t, err)
		require.Equal(t, c.sees, string(rest))
		require.NoError(t, client.Close())
	}
}

// Many members join and leave in one batch. The names of the first ones are told, and then
// a number, so that a crowd does not cost the square of its size.
func TestCrowdJoinsAtOnce(t *testing.T) {
	s, first := joining(t, 1)
	_, err := io.ReadFull(first, make([]byte, len("* welcome")))
	require.NoError(t, err)
	var h *hub
	for _, h = range s.room.hubs {
	}
	const crowd = 100
	done := make(chan struct{})
	require.NoError(t, h.loop.Post(func() {
		defer close(done)
		s.room.mu.Lock()
		s.room.tell("said before")
		s.room.mu.Unlock()
		for range crowd {
			s.room.mu.Lock()
			s.room.tellComing("* somebody joined", true)
			s.room.tellComing("* somebody left", false)
			s.room.mu.Unlock()
		}
		s.room.mu.Lock()
		defer s.room.mu.Unlock()
		lines := bytes.Count(h.pending, []byte{'\n'})
		if lines > 1+mostComings {
			t.Errorf("%d lines tell of %d members", lines, crowd)
		}
	}))
	<-done
	lines := bufio.NewReader(first)
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if line == "* 95 more joined\n" {
			break
		}
	}
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "* 95 more left\n", line)
}

// A member that joins in the middle of a batch does not get what was said before.
func TestMemberHearsWhatIsSaidAfterItHasJoined(t *testing.T) {
	s, first := joining(t, 1)
	_, err := io.ReadFull(first, make([]byte, len("* welcome")))
	require.NoError(t, err)
	held, hold := make(chan struct{}), make(chan struct{})
	for l := range s.room.hubs {
		require.NoError(t, l.Post(func() {
			close(held)
			<-hold
			s.room.mu.Lock()
			s.room.tell("said before")
			s.room.mu.Unlock()
		}))
	}
	<-held
	second, err := net.Dial("tcp", s.Addrs()[0].String())
	require.NoError(t, err)
	defer second.Close()
	require.NoError(t, second.SetDeadline(time.Now().Add(programtest.Patience)))
	for l := range s.room.hubs {
		close(hold)
		for range 3 {
			done := make(chan struct{})
			require.NoError(t, l.Post(func() { close(done) }))
			<-done
		}
	}
	_, err = io.WriteString(second, "after\n/quit\n")
	require.NoError(t, err)
	got, err := io.ReadAll(second)
	require.NoError(t, err)
	require.NotContains(t, string(got), "said before")
	require.Contains(t, string(got), "after")
	require.NoError(t, first.Close())
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"plain", "plain"}, {"tab\there", "tab\there"}, {"grüße 👋", "grüße 👋"},
		{"\x1b[31mred", "\uFFFD[31mred"}, {"a\x7fb\u009bc", "a\uFFFDb\uFFFDc"}, {"bad\xffutf", "bad\uFFFDutf"},
	} {
		in := []byte(c.in)
		require.Equal(t, c.want, string(clean(in)))
		require.Equal(t, c.in, string(in), "the input is the connection's")
	}
}
