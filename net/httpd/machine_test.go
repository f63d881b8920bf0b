package httpd_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/net/httpd"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// A fake stands for a net/http that does things in another way than today's.
type fake struct {
	*httpd.Yard
	srv       *http.Server
	peer, own net.Conn
	states    chan http.ConnState
}

func newFake(t *testing.T, linger ...time.Duration) *fake {
	t.Helper()
	f := &fake{states: make(chan http.ConnState, 10)}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	f.srv = &http.Server{Protocols: &protocols, ConnState: func(_ net.Conn, s http.ConnState) { f.states <- s }}
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	front := httpd.NewListener(f.srv, l)
	f.Yard = httpd.YardOf(front)
	linger = append(linger, time.Millisecond)
	f.SetLinger(linger[0], linger[0])
	f.peer, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	f.own, err = front.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		f.peer.Close()
		front.Close()
		f.srv.Close()
		f.Done(t)
	})
	f.change(http.StateNew)
	return f
}

// first receives the beginning of the first request.
func (f *fake) first(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(f.peer, text)
	require.NoError(t, err)
	require.NoError(t, weirtest.Take(t, f.read(4096)))
	f.change(http.StateActive)
}

func (f *fake) change(s http.ConnState) { f.srv.ConnState(f.own, s) }

// read reads once in another goroutine, and returns the channel of the Read's error.
func (f *fake) read(length int) <-chan error {
	got := make(chan error, 1)
	go func() {
		_, err := f.own.Read(make([]byte, length))
		got <- err
	}()
	return got
}

// lets requires that a Read ends because the connection is to be parked.
func (f *fake) lets(t *testing.T) {
	t.Helper()
	require.ErrorContains(t, weirtest.Take(t, f.read(4096)), "idle")
}

// keeps requires that a Read waits for input, for much longer than a connection lingers.
func (f *fake) keeps(t *testing.T, length int) {
	t.Helper()
	got := f.read(length)
	select {
	case err := <-got:
		require.Fail(t, "the Read has ended", "%v", err)
	case <-time.After(20 * time.Millisecond):
		_, err := f.peer.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, weirtest.Take(t, got))
	}
}

// idle does what net/http does between two requests, up to the Read.
func (f *fake) idle() {
	f.change(http.StateIdle)
	_ = f.own.SetReadDeadline(time.Time{})
}

// Nothing is parked unless net/http reads into an empty buffer of the length that it has
// today, after it has said that the connection is idle, and has set the deadline.
func TestAnotherNetHTTPParksNothing(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(f *fake)
		length  int
		parks   bool
	}{
		"today's":             {(*fake).idle, 4096, true},
		"a greater buffer":    {(*fake).idle, 8192, false},
		"a buffer in use":     {(*fake).idle, 4095, false},
		"no StateIdle":        {func(f *fake) { _ = f.own.SetReadDeadline(time.Time{}) }, 4096, false},
		"no deadline":         {func(f *fake) { f.change(http.StateIdle) }, 4096, false},
		"two deadlines":       {func(f *fake) { f.idle(); _ = f.own.SetReadDeadline(time.Time{}) }, 4096, false},
		"StateActive again":   {func(f *fake) { f.idle(); f.change(http.StateActive) }, 4096, false},
		"hijacked, then idle": {func(f *fake) { f.change(http.StateHijacked); f.idle() }, 4096, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.first(t, "GET /")
			c.prepare(f)
			if c.parks {
				f.lets(t)
			} else {
				f.keeps(t, c.length)
				f.keeps(t, 4096) // and later
			}
			if name != "hijacked, then idle" {
				require.NoError(t, f.own.Close())
				f.change(http.StateClosed)
			} else {
				require.NoError(t, f.own.Close())
			}
			require.Equal(t, c.parks, f.Parks() == 1)
		})
	}
}

// srv.Shutdown and srv.Close may close a connection while net/http lets go of it, and
// before or after net/http's own Close. Then it is not parked.
func TestCloseWhileNetHTTPLetsGo(t *testing.T) {
	f := newFake(t)
	f.first(t, "GET /")
	f.idle()
	f.lets(t)
	require.NoError(t, f.own.Close())
	require.NoError(t, f.own.Close())
	f.change(http.StateClosed)
	require.Zero(t, f.Parks())
	requireClosed(t, f)
}

// A net/http that says StateClosed before it calls Close closes the connection.
func TestStateClosedBeforeClose(t *testing.T) {
	f := newFake(t)
	f.first(t, "GET /")
	f.idle()
	f.lets(t)
	f.change(http.StateClosed)
	require.NoError(t, f.own.Close())
	require.Zero(t, f.Parks())
	requireClosed(t, f)
}

// A deadline that the program sets while the connection lingers is the deadline of the Read.
func TestDeadlineWhileLingering(t *testing.T) {
	f := newFake(t, time.Hour)
	f.first(t, "GET /")
	f.idle()
	got := make(chan error, 1)
	go func() {
		_, err := f.own.Read(make([]byte, 4096))
		got <- err
	}()
	time.Sleep(5 * time.Millisecond) // the Read has begun
	require.NoError(t, f.own.SetReadDeadline(time.Now().Add(-time.Second)))
	require.ErrorIs(t, weirtest.Take(t, got), os.ErrDeadlineExceeded)
	require.NoError(t, f.own.Close())
	f.change(http.StateClosed)
	require.Zero(t, f.Parks())
	requireClosed(t, f)
}

// Input that arrives after Read has found none, and before the loop watches, wakes the
// connection.
func TestInputBeforeTheLoopWatches(t *testing.T) {
	f := newFake(t)
	f.first(t, "GET /")
	f.idle()
	f.lets(t)
	_, err := io.WriteString(f.peer, "GET /none HTTP/1.0\r\n\r\n")
	require.NoError(t, err)
	reg := f.own.(interface{ Socket() *socket.Socket }).Socket().Registration()
	weirtest.Eventually(t, func() bool { return reg.Look(loop.Readable) != loop.Unready }, "the loop has the event")
	require.NoError(t, f.own.Close())
	f.change(http.StateClosed)
	require.Equal(t, 1, f.Parks())
	require.NoError(t, f.peer.SetReadDeadline(time.Now().Add(weirtest.Patience)))
	all, err := io.ReadAll(f.peer)
	require.NoError(t, err)
	require.Contains(t, string(all), "404 Not Found")
}

// A connection that has begun with HTTP/2 is not parked, whatever its states and reads are.
func TestHTTP2PrefaceIsNotParked(t *testing.T) {
	for preface, parks := range map[string]bool{"PRI * HTTP/2.0\r\n": false, "PR": false, "GET /": true} {
		f := newFake(t)
		f.first(t, preface)
		f.idle()
		if parks {
			f.lets(t)
		} else {
			f.keeps(t, 4096)
		}
		require.NoError(t, f.own.Close())
		f.change(http.StateClosed)
	}
}

func requireClosed(t *testing.T, f *fake) {
	t.Helper()
	require.NoError(t, f.peer.SetReadDeadline(time.Now().Add(weirtest.Patience)))
	_, err := f.peer.Read(make([]byte, 1))
	require.ErrorContains(t, err, "EOF")
	for _, want := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed} {
		require.Equal(t, want, weirtest.Take(t, f.states))
	}
}
