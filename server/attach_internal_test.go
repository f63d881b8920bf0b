package server

import (
	"testing"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// The server begins to end after Attach has looked at its state. Attach refuses the
// Socket, which stays the caller's, and counts nothing.
func TestAttachWhileTheServerEnds(t *testing.T) {
	for name, srv := range map[string]*Server{
		"Events":  {Loops: 1, Events: Events{Data: func(*Conn) error { return nil }}},
		"Handler": {Loops: 1, Handler: func(*Session) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, srv.start())
			require.True(t, srv.endListeners(t.Context(), true))
			a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
			require.NoError(t, err)
			defer a.Close()
			defer b.Close()
			require.Equal(t, ErrClosed, srv.adopt(a, srv.engines, arrival{}, nil))
			require.Zero(t, srv.conns.Load())
			_, err = a.WriteString("x")
			require.NoError(t, err)
			require.NoError(t, srv.end())
		})
	}
}
