package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// resumes sends 20 bytes at once to the server. In each call, Data reads a part of them and
// writes each bytes for every byte. The peer gets all of the output.
func resumes(t *testing.T, srv *Server, each int) {
	t.Helper()
	const count = 20
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = c.Write(make([]byte, count))
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, c, int64(count*each))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, srv.Close())
}

// Data leaves input because too much output is queued. The server calls it again when the
// queue is down to LowWater, even if no more input arrives.
func TestDataGoesOnAfterPressure(t *testing.T) {
	reply := make([]byte, 1<<20)
	resumes(t, &Server{Loops: 1, Events: Events{Data: func(c *Conn) error {
		if c.Queued() > c.Server().HighWater {
			t.Error("Data is called under pressure")
		}
		for c.Queued() <= c.Server().HighWater && c.Discard(1) == 1 {
			if _, err := c.Write(reply); err != nil {
				return err
			}
		}
		return nil
	}}}, len(reply))
}

// The same, when the output leaves before the server has called Pressure: WriteAsync sends
// Chunk bytes, and leaves more than HighWater. The kernel takes these when Data has returned.
func TestDataGoesOnAfterPressureOfACallback(t *testing.T) {
	const chunk = 8 << 10
	reply := make([]byte, 2*chunk)
	resumes(t, &Server{Loops: 1, Chunk: chunk, HighWater: chunk / 2, Events: Events{Data: func(c *Conn) error {
		for c.Queued() <= c.Server().HighWater && c.Discard(1) == 1 {
			if err := c.WriteAsync(reply, func(error) {}); err != nil {
				return err
			}
		}
		return nil
	}}}, len(reply))
}

// ResumeRead presents the input that Data has left before the pause.
func TestDataGoesOnAfterPause(t *testing.T) {
	resumes(t, &Server{Loops: 1, Events: Events{Data: func(c *Conn) error {
		c.PauseRead()
		go c.ResumeRead()
		_, err := c.Write(c.Next(1))
		return err
	}}}, 1)
}
