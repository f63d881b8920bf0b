package web

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test's binary be a child, as the program's binary is.
func TestMain(m *testing.M) { benchtest.Main(m, Roles) }

func TestClientNoticesAnAnswerOfAnotherSize(t *testing.T) {
	server, err := child.Start(benchtest.Context(t), child.Place{Threads: 2}, "http-server", Order{Subject: "net", Size: 10})
	require.NoError(t, err)
	defer server.Stop() //nolint:errcheck // not what is tested
	var at subjects.Listening
	require.NoError(t, server.Answer(&at))
	_, err = child.Ask[load.Result](benchtest.Context(t), child.Place{Threads: 1}, "http-load", Visit{
		Addr: at.Addr, ServerPID: server.Pid(), KeepAlive: true, Size: 11, Conns: 1,
		Window: time.Millisecond, Patience: time.Second,
	})
	require.ErrorContains(t, err, "an answer had 10 bytes, not 11")
}

func TestOnlySubjectsWithAListenerServeHTTP(t *testing.T) {
	_, err := child.Ask[subjects.Listening](benchtest.Context(t), child.Place{Threads: 1}, "http-server", Order{Subject: "gnet"})
	require.EqualError(t, err, `http-server: subject "gnet" has no listener`)
}
