package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// corruptSubject changes the tenth answer of a connection.
var corruptSubject = subject{
	name:  "corrupt",
	about: "a test's server that changes a byte",
	serveEcho: func(size int, ready func(string) error) error {
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			if answer == 10 {
				p[len(p)-1] ^= 1
			}
			_, err := conn.Write(p)
			return err == nil
		})
	},
}

// forgetfulSubject leaves one answer in a hundred of each connection out.
var forgetfulSubject = subject{
	name:  "forgetful",
	about: "a test's server that forgets answers",
	serveEcho: func(size int, ready func(string) error) error {
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			if answer == 100 {
				return true
			}
			_, err := conn.Write(p)
			return err == nil
		})
	},
}

func serveTest(ready func(string) error, reply func(conn net.Conn, answer int, p []byte) bool) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := ready(listener.Addr().String()); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 4096)
			for i := 1; ; i++ {
				n, err := conn.Read(buf)
				if err != nil || !reply(conn, i, buf[:n]) {
					return
				}
			}
		}()
	}
}

func testEnv(names ...string) env {
	cores, _ := chooseCores()
	return env{
		options: options{subjects: names, conns: []int{1, 8}, size: 128, dur: 100 * time.Millisecond, reps: 1},
		cores:   cores,
	}
}

func TestEchoOfEverySubject(t *testing.T) {
	names := slices.DeleteFunc(subjectNames(), func(name string) bool { return name == "corrupt" || name == "forgetful" })
	file := filepath.Join(t.TempDir(), "out.jsonl")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	opts := testEnv(names...).options
	opts.suites, opts.json = []string{"echo"}, file
	require.NoError(t, measureAll(testContext(t), opts, out, out))

	shown, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	lines, err := os.ReadFile(file)
	require.NoError(t, err)
	serving := able(names, func(s subject) bool { return s.serveEcho != nil })
	require.Contains(t, serving, "gnet")
	for _, name := range serving {
		require.Contains(t, string(shown), "│ "+name+" ")
	}
	rates := 0
	for decoder := json.NewDecoder(bytes.NewReader(lines)); ; {
		var line figureLine
		err := decoder.Decode(&line)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if line.Metric == reqPerSec && line.Median > 0 {
			rates++
		}
	}
	require.Equal(t, 2*len(serving), rates)
	requireNoChildren(t)
}

// Messages that a socket's buffers do not hold need every partial read and write to be right.
func TestEchoOfLargeAndSmallMessages(t *testing.T) {
	for _, name := range []string{"raw", "net", "gnet", "weir"} {
		if s, err := findSubject(name); err != nil || s.serveEcho == nil {
			continue
		}
		for _, size := range []int{1, 8 << 20} {
			e := testEnv()
			e.size = size
			got, err := measureEcho(testContext(t), e, name, 2)
			require.NoError(t, err)
			require.Positive(t, got[reqPerSec])
			require.Positive(t, got[cpuPerReq])
		}
	}
}

func TestGeneratorNoticesCorruption(t *testing.T) {
	_, err := measureEcho(testContext(t), testEnv(), "corrupt", 1)
	require.ErrorContains(t, err, "corrupt: echo-load: connection 0, message 10: byte 127 was sent as")
	requireNoChildren(t)
}

func TestGeneratorNoticesForgottenConnections(t *testing.T) {
	server, err := startChild(testContext(t), place{anywhere, 1}, "echo-server", echoOrder{"forgetful", 128})
	require.NoError(t, err)
	defer server.stop() //nolint:errcheck // not what is tested
	var at listening
	require.NoError(t, server.answer(&at))
	_, err = ask[loadResult](testContext(t), place{anywhere, 1}, "echo-load", loadOrder{
		Addr: at.Addr, ServerPID: server.cmd.Process.Pid,
		Conns: 3, Size: 128, WarmUp: time.Millisecond, Window: 200 * time.Millisecond, Patience: 200 * time.Millisecond,
	})
	require.EqualError(t, err, "echo-load: 3 of 3 connections got no answer within 200ms")
}

func TestGeneratorNoticesARefusingServer(t *testing.T) {
	_, err := ask[loadResult](testContext(t), place{anywhere, 1}, "echo-load", loadOrder{
		Addr: "127.0.0.1:1", Conns: 1, Size: 1, Window: time.Millisecond, Patience: time.Second,
	})
	require.ErrorContains(t, err, "connection 1 of 1: connect: connection refused")
}

func TestProcessorTimeIsThatOfTheProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	start := time.Now()
	for time.Since(start) < 20*time.Millisecond {
		continue // and so use the processor
	}
	after, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	require.Positive(t, after-before)
	require.Less(t, after-before, 100*time.Second)
	_, err = cpuTime(1 << 22) // the kernel's PID_MAX_LIMIT: nobody has it
	require.ErrorIs(t, err, unix.EINVAL)
}
