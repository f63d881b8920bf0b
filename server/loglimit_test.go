package server_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// A hundred handlers fail. The log has the first ten failures, and one line for the others.
func TestLogIsLimited(t *testing.T) {
	var out bytes.Buffer
	const n = 100
	failed := make(chan struct{}, n)
	srv := &server.Server{
		Log:     slog.New(slog.NewTextHandler(&out, nil)),
		Handler: func(*server.Session) error { return errors.New("on purpose") },
		Finish:  func(*server.Session, error) { failed <- struct{}{} },
	}
	addr := serve(t, srv)
	for range n {
		send(t, client(t, addr), "x")
	}
	for range n {
		weirtest.Take(t, failed)
	}
	require.NoError(t, srv.Close())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 11, out.String())
	require.NotContains(t, lines[9], "times=")
	require.Contains(t, lines[10], "times=90")
}
