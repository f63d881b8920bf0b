package loglimit

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestLimit(t *testing.T) {
	var out lockedBuffer
	limited, stop := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), 1, time.Hour)
	log := limited.With("server", 1)
	for i := range 3 {
		log.Warn("a", "i", i)
		log.Error("a", "i", i) // another level is another kind
		limited.Info("b", "i", i)
		log.Debug("c", "i", i)
	}
	require.Equal(t, 3+3, strings.Count(out.String(), "\n"), out.String())
	stop()
	require.Equal(t, 6+3, strings.Count(out.String(), "\n"), out.String())
	require.Contains(t, out.String(), "level=WARN msg=a server=1 i=2 times=2")
	log.Warn("a")
	log.Warn("a")
	require.Equal(t, 9+2, strings.Count(out.String(), "\n"), "after stop nothing is limited")
}

// What was left out is told after an interval. Then the next interval begins.
func TestLimitTellsAfterAnInterval(t *testing.T) {
	const every = 20 * time.Millisecond
	var out lockedBuffer
	log, stop := New(slog.New(slog.NewTextHandler(&out, nil)), 1, every)
	defer stop()
	log.Info("a", "i", 0)
	log.Info("a", "i", 1)
	require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") == 2 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { // when an interval has had none, the next record is a first one again
		log.Info("a", "i", 2)
		time.Sleep(3 * every)
		return strings.HasSuffix(strings.TrimSpace(out.String()), "i=2")
	}, time.Minute, time.Millisecond)
}

func TestLimitWritesTheFirstOnes(t *testing.T) {
	var out lockedBuffer
	log, stop := New(slog.New(slog.NewTextHandler(&out, nil)), 3, time.Hour)
	for range 10 {
		log.Info("a")
	}
	require.Equal(t, 3, strings.Count(out.String(), "\n"))
	stop()
	require.Equal(t, 4, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "times=7")
}
