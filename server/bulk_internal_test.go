package server

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// flooded returns a server of one loop and n connections, each of which has so much input
// that one receive does not get it all. data gets the input of all connections; the
// bystander is the last one, and has none.
func flooded(t *testing.T, n int, data func(c *Conn, bystander bool, peer *socket.Socket) error) *Server {
	t.Helper()
	srv := &Server{Loops: 1}
	var bystander *socket.Socket
	srv.Events.Data = func(c *Conn) error { return data(c, c.User != nil, bystander) }
	t.Cleanup(func() { srv.Close() })
	require.NoError(t, srv.start())
	full := make(chan struct{})
	require.NoError(t, srv.engines[0].post(func() { <-full }))
	for i := range n + 1 {
		a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
		require.NoError(t, err)
		t.Cleanup(func() { b.Close() })
		var user any
		if i == n {
			user, bystander = true, b
		} else {
			go func() { // until the connection ends
				for piece := make([]byte, 64<<10); ; {
					if _, err := b.Write(piece); err != nil {
						return
					}
				}
			}()
		}
		require.NoError(t, srv.Attach(a, user))
	}
	close(full)
	return srv
}

// However many connections flood the loop, a bystander waits for a bounded number of their
// bytes: from the beginning, when the engine does not know yet who sends much.
func TestAFloodDoesNotHoldUpABystander(t *testing.T) {
	defer func(d time.Duration) { bulkTime = d }(bulkTime)
	bulkTime = 0 // one bulk connection in each turn
	const flooders = 40
	bytes, rounds := 0, []int(nil)
	asked := false
	over := make(chan struct{})
	srv := flooded(t, flooders, func(c *Conn, bystander bool, peer *socket.Socket) error {
		n := len(c.Next(-1))
		switch {
		case len(rounds) == 100:
			return nil
		case bystander:
			rounds = append(rounds, bytes)
			asked = false
			if len(rounds) == 100 {
				close(over)
			}
		case !asked:
			bytes, asked = 0, true
			_, _ = peer.WriteString("x")
		default:
			bytes += n
		}
		return nil
	})
	<-over
	require.NoError(t, srv.Close())
	for _, n := range rounds {
		require.LessOrEqual(t, n, 2*(turnBytes+flooders*firstRead+srv.Chunk), // of the present turn and the next one
			"%v", rounds)
	}
}

// A Data that takes long for each byte gets less at a time, and so the turn stays short.
func TestSlowDataGetsLessAtATime(t *testing.T) {
	srv := &Server{Loops: 1}
	c, _ := attached(t, srv)
	c.eng.do(func() {
		e := c.eng
		require.Equal(t, 64<<10, e.most)
		e.adapt(longRead)
		require.Equal(t, 64<<10, e.most)
		for range 10 {
			e.adapt(longRead + 1)
		}
		require.Equal(t, firstRead, e.most)
		e.adapt(shortRead)
		require.Equal(t, firstRead, e.most)
		for range 10 {
			e.adapt(shortRead - 1)
		}
		require.Equal(t, 64<<10, e.most)
	})

	var sizes []int
	over := make(chan struct{})
	srv = flooded(t, 1, func(c *Conn, _ bool, _ *socket.Socket) error {
		n := len(c.Next(-1))
		for begin := time.Now(); time.Since(begin) <= longRead; {
		}
		if sizes = append(sizes, n); len(sizes) == 100 {
			close(over)
		}
		return nil
	})
	<-over
	require.NoError(t, srv.Close())
	require.LessOrEqual(t, sizes[99], firstRead)
}

// A bulk connection has its turn for half a millisecond, even if it gets few bytes at a
// time meanwhile.
func TestABulkConnectionHasItsTurnForATime(t *testing.T) {
	turns := make(map[uint64]int)
	over := make(chan struct{})
	calls := 0
	srv := flooded(t, 1, func(c *Conn, _ bool, _ *socket.Socket) error {
		c.eng.most = firstRead
		c.Next(-1)
		for begin := time.Now(); time.Since(begin) <= longRead; {
		}
		if c.bulk {
			turns[c.eng.loop.Turns()]++
		}
		if calls++; calls == 50 {
			close(over)
		}
		return nil
	})
	<-over
	require.NoError(t, srv.Close())
	for _, n := range turns {
		require.Equal(t, 1, n)
	}
}

// The time of a bulk connection is over, and its input is in the kernel: timeUp reads it
// at once, and does not leave it to the end of the turn.
func TestTimeoutsReadFromABulkConnection(t *testing.T) {
	srv := &Server{Loops: 1, Timeouts: Timeouts{Idle: time.Hour}}
	srv.Events.Data = func(c *Conn) error { c.Next(-1); return nil }
	c, peer := attached(t, srv)
	var state connState
	c.eng.do(func() {
		c.bulk = true
		c.active = -2 * time.Hour
		_, _ = peer.WriteString("x")
		c.timeUp()
		state = c.state
	})
	require.Equal(t, stateOpen, state)
}

// The bound of what other connections read in a turn is for that turn alone.
func TestTurnBytesBeginAnewInEachTurn(t *testing.T) {
	t.Parallel()
	c, peer := attached(t, &Server{Loops: 1, Events: Events{Data: func(c *Conn) error { c.Next(-1); return nil }}})
	_, err := peer.Write(make([]byte, 2*firstRead))
	require.NoError(t, err)
	var turn uint64
	c.eng.do(func() {
		c.eng.turn, c.eng.turnRead = 0, turnBytes // of an earlier turn
		c.readSoon()
		turn, _ = c.eng.loop.Busy()
		turn -= c.eng.turn
	})
	require.Zero(t, turn)
	require.Less(t, c.eng.turnRead, turnBytes)
}
