package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client that stays is closed when the grace period is over, not before, and
// that is no failure.
func TestStopWithClientConnected(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			const grace = 300 * time.Millisecond
			p := start(t, "-grace", grace.String())
			c := talk(t, p.stayer())
			require.Equal(t, []byte("hello"), c.exchange([]byte("hello")))

			begun := time.Now()
			p.signal(sig)
			require.Empty(t, c.rest())
			require.GreaterOrEqual(t, time.Since(begun), grace)
			require.Contains(t, p.await("grace period is over"), "closing=1")
			state, log := p.ended()
			require.Zero(t, state.ExitCode(), log)
			require.Contains(t, log, "stopped")
		})
	}
}

func TestStopWithoutClients(t *testing.T) {
	p := start(t, "-grace", "1h")
	p.stop()
}

// The signal comes in the middle of a transfer: what is still to come is
// echoed as well, and the program ends with the client, not with the grace
// period.
func TestStopLosesNothingInFlight(t *testing.T) {
	p := start(t, "-grace", "1h")
	c := talk(t, p.socat())
	data := random(16 << 20)
	half := len(data) / 2
	got := c.exchange(data[:half])

	stopping := make(chan struct{})
	go func() {
		quarter := half + half/2
		c.Write(data[half:quarter]) // more than fits, as nobody reads yet
		<-stopping
		c.Write(data[quarter:])
		c.Close()
	}()
	p.signal(syscall.SIGTERM)
	require.Contains(t, p.await("stopping"), "connections=1")
	close(stopping)
	got = append(got, c.rest()...)
	same(t, data, got)
	state, log := p.ended()
	require.Zero(t, state.ExitCode(), log)
}

func TestStopAcceptsNoMore(t *testing.T) {
	p := start(t, "-grace", "1h")
	c := talk(t, p.socat())
	require.Equal(t, []byte("hello"), c.exchange([]byte("hello")))
	p.signal(syscall.SIGTERM)
	p.await("stopping")

	late := talk(t, p.nc())
	late.Close()
	require.Error(t, late.cmd.Wait(), "the connection is refused")
	require.Equal(t, []byte("still"), c.exchange([]byte("still")))
	require.Empty(t, c.finish())
	state, log := p.ended()
	require.Zero(t, state.ExitCode(), log)
}

func TestSecondSignalDoesNotWait(t *testing.T) {
	p := start(t, "-grace", "1h")
	c := talk(t, p.socat())
	require.Equal(t, []byte("hello"), c.exchange([]byte("hello")))
	p.signal(syscall.SIGTERM)
	p.await("stopping")
	p.signal(syscall.SIGTERM)
	state, _ := p.ended()
	require.Equal(t, syscall.SIGTERM, state.Sys().(syscall.WaitStatus).Signal())
}
