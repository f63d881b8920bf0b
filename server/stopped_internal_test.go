package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The process was stopped for an hour, longer than each timeout. The peer sent what the
// kernel had room for, and gets the time to send the rest. A peer that sent nothing is
// ended.
func TestStoppedServerExcusesItsPeers(t *testing.T) {
	for _, test := range []struct {
		sent string
		want connState
	}{{"more", stateOpen}, {"", stateClosed}} {
		srv := &Server{Loops: 1, Timeouts: Timeouts{Read: time.Minute}}
		srv.Events.Data = func(*Conn) error { return nil }
		c, peer := attached(t, srv)
		_, err := peer.WriteString("part")
		require.NoError(t, err)
		for srv.Stats().Memory == 0 {
			c.eng.do(func() {})
		}
		var state connState
		c.eng.do(func() {
			c.in.since -= time.Hour
			if test.sent != "" {
				_, _ = peer.WriteString(test.sent)
			}
			c.timeUp()
			state = c.state
		})
		require.Equal(t, test.want, state, test.sent)
	}
}

// A closing connection whose Linger has passed while the process was stopped has it again.
func TestStoppedServerGivesTimeToLinger(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1})
	for c.Queued() < 1<<20 {
		_, err := c.Write(make([]byte, 64<<10))
		require.NoError(t, err)
	}
	c.Close()
	c.eng.do(func() {})
	var state connState
	c.eng.do(func() {
		c.timeouts.leaving.deadline -= time.Hour
		c.timeUp()
		state = c.state
	})
	require.Equal(t, stateDraining, state)
}
