package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// labelsOf returns the labels of the goroutine that is in a function, as the goroutine
// profile shows them.
func labelsOf(t *testing.T, function string) string {
	t.Helper()
	var profile bytes.Buffer
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
	for _, stack := range strings.Split(profile.String(), "\n\n") {
		if strings.Contains(stack, function) {
			return strings.Join(regexp.MustCompile(`# labels: (.*)`).FindStringSubmatch(stack), "")
		}
	}
	t.Fatalf("no goroutine is in %s", function)
	return ""
}

func callbackIsHere(held chan<- struct{}, release <-chan struct{}) { held <- struct{}{}; <-release }
func handlerIsHere(held chan<- struct{}, release <-chan struct{})  { held <- struct{}{}; <-release }

func TestProfileLabels(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	srv := &server.Server{Name: "shop", Loops: 1, Events: server.Events{Data: func(c *server.Conn) error {
		callbackIsHere(held, release)
		return echo(c)
	}}}
	one := serve(t, srv)
	lines := &server.Service{Handler: func(s *server.Session) error {
		line, err := s.ReadLine()
		if err != nil {
			return err
		}
		handlerIsHere(held, release)
		_, err = s.WriteLine(line)
		return err
	}}
	two, err := srv.ListenService("tcp4", "127.0.0.1:0", lines)
	require.NoError(t, err)

	c := client(t, one)
	send(t, c, "x")
	weirtest.Take(t, held)
	labels := labelsOf(t, "callbackIsHere")
	for _, want := range []string{`"server":"shop"`, `"loop":"0"`, fmt.Sprintf(`"listener":"%s,%s"`, one, two)} {
		require.Contains(t, labels, want)
	}
	release <- struct{}{}
	expect(t, c, "x")

	c = client(t, two)
	for range 2 { // the second time on a goroutine that was parked
		send(t, c, "y\n")
		weirtest.Take(t, held)
		labels = labelsOf(t, "handlerIsHere")
		for _, want := range []string{`"server":"shop"`, `"loop":"0"`, fmt.Sprintf(`"listener":"%s"`, two)} {
			require.Contains(t, labels, want)
		}
		release <- struct{}{}
		expect(t, c, "y\n")
	}
}

// Write adds a line.
func (j *journal) Write(p []byte) (int, error) {
	j.add(string(p))
	return len(p), nil
}

func TestNameIsInTheLog(t *testing.T) {
	var log journal
	srv := &server.Server{Name: "shop", Loops: 1, Log: slog.New(slog.NewTextHandler(&log, nil)), Events: server.Events{Data: func(*server.Conn) error { panic("oh") }}}
	c := client(t, serve(t, srv))
	send(t, c, "x")
	weirtest.Eventually(t, func() bool { return log.count("panicked") == 1 }, "it is logged")
	require.Equal(t, 1, strings.Count(log.all()[0], "server=shop"))
}

func TestExecutionTrace(t *testing.T) {
	if trace.IsEnabled() {
		t.Skip("the tests themselves are traced")
	}
	srv := &server.Server{Loops: 1, Handler: func(s *server.Session) error {
		line, err := s.ReadLine()
		if err == nil {
			_, err = s.WriteLine(line)
		}
		return err
	}}
	addr := serve(t, srv)
	var written bytes.Buffer
	require.NoError(t, trace.Start(&written))
	c := client(t, addr)
	send(t, c, "x\n")
	expect(t, c, "x\n")
	trace.Stop()
	for _, name := range []string{"weir.turn", "weir.call", "weir.handler", c.LocalAddr().String()} {
		require.Contains(t, written.String(), name)
	}
}

// A loop that waits does not look like a goroutine that waits for a lock or a channel.
func TestIdleServerIsNotInTheBlockProfile(t *testing.T) {
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	srv := &server.Server{Loops: 2, Events: server.Events{Data: echo}}
	addr := serve(t, srv)
	c := client(t, addr)
	for range 5 { // the loop waits for each
		time.Sleep(10 * time.Millisecond)
		send(t, c, "x")
		expect(t, c, "x")
	}
	for _, name := range []string{"block", "mutex"} {
		var profile bytes.Buffer
		require.NoError(t, pprof.Lookup(name).WriteTo(&profile, 1))
		for _, record := range strings.Split(profile.String(), "\n\n") {
			// Close waits for a Wait to end, and other tests have closed pollers.
			if strings.Contains(record, "poller.(*Poller).Wait") || strings.Contains(record, "loop.(*Loop).turn") {
				require.Contains(t, record, "Close", "%s profile", name)
			}
		}
	}
}
