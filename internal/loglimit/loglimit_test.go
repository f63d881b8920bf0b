package loglimit

import (
	"bytes"
	"log/slog"
	"strconv"
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

// counted returns a logger that writes one record of each kind an hour, and its limit.
func counted() (log *slog.Logger, l *logLimit, out *lockedBuffer) {
	out = new(lockedBuffer)
	log, _ = New(slog.New(slog.NewTextHandler(out, nil)), 1, time.Hour)
	return log, log.Handler().(*limitHandler).limit, out
}

// An interval in which something was left out is followed by another one.
func TestLimitEndsWithAQuietInterval(t *testing.T) {
	log, l, out := counted()
	defer l.stop()
	kind := logKind{slog.LevelInfo, "a"}
	log.Info("a")
	log.Info("a")
	c := l.kinds[kind]
	l.tell(kind, c)
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.Equal(t, c, l.kinds[kind])
	l.tell(kind, c)
	require.Empty(t, l.kinds)
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
}

// A timer that expires while stop runs writes nothing again.
func TestLimitTellsOnceAtTheEnd(t *testing.T) {
	log, l, out := counted()
	kind := logKind{slog.LevelInfo, "a"}
	log.Info("a")
	log.Info("a")
	c := l.kinds[kind]
	l.stop()
	l.tell(kind, c)
	require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
}

// When there are too many kinds, a new one is not limited.
func TestLimitBoundsTheKinds(t *testing.T) {
	log, l, out := counted()
	defer l.stop()
	for i := range mostKinds {
		log.Info(strconv.Itoa(i))
	}
	for range 3 {
		log.Info("another")
	}
	log.Info("0")
	require.Equal(t, mostKinds+3, strings.Count(out.String(), "\n"))
}
