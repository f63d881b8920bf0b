package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/stretchr/testify/require"
)

func redisCLI(t *testing.T, p *programtest.Program, stdin string, args ...string) string {
	t.Helper()
	cmd := programtest.Tool(t, "redis-cli", append([]string{"-p", p.Port()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func TestRedisCLI(t *testing.T) {
	p := start(t)
	require.Equal(t, "OK\n", redisCLI(t, p, "", "SET", "greeting", "hello world", "EX", "1000000"))
	require.Equal(t, "hello world\n", redisCLI(t, p, "", "GET", "greeting"))
	left, err := strconv.Atoi(strings.TrimSpace(redisCLI(t, p, "", "TTL", "greeting")))
	require.NoError(t, err)
	require.InDelta(t, 1000000, left, 1000, "the machine may stand still for some seconds")
	require.Equal(t, "OK\nb\n2\n", redisCLI(t, p, "MSET a 1 c 'x y'\nECHO b\nINCR a\n"))
	require.Contains(t, redisCLI(t, p, "", "INFO"), "db0:keys=3")
	require.Contains(t, redisCLI(t, p, "", "NOSUCH"), "ERR unknown command 'NOSUCH'")

	var mass bytes.Buffer
	for i := range 10_000 {
		mass.Write(request("SET", fmt.Sprint("mass:", i), strings.Repeat("v", i%100)))
	}
	require.Contains(t, redisCLI(t, p, mass.String(), "--pipe"), "errors: 0, replies: 10000")
	require.Equal(t, "10003\n", redisCLI(t, p, "", "DBSIZE"))
	p.Stop()
}

func TestRedisBenchmark(t *testing.T) {
	for _, depth := range []string{"1", "16"} {
		t.Run("-P "+depth, func(t *testing.T) {
			p := start(t)
			cmd := programtest.Tool(t, "redis-benchmark", "-p", p.Port(), "-P", depth, "-n", "2000", "-c", "20", "-r", "1000",
				"--csv", "-t", "ping,set,get,incr,mset")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			require.NotContains(t, strings.ToLower(string(out)), "err")
			for _, test := range []string{"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"} {
				require.Contains(t, string(out), `"`+test+`"`)
			}
			p.Stop()
		})
	}
}

// redisServer starts a Redis server, and returns the path of its socket.
func redisServer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "redis.sock")
	cmd := programtest.Tool(t, "redis-server", "--port", "0", "--unixsocket", path, "--dir", dir, "--save", "", "--daemonize", "no")
	var log bytes.Buffer
	cmd.Stdout = &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, programtest.Patience, 10*time.Millisecond)
	return path
}

// A chooser makes random commands. Most of them are valid.
type chooser struct{ *rand.Rand }

func (c chooser) of(list ...string) string { return list[c.IntN(len(list))] }

func (c chooser) key() string { return fmt.Sprint("k", c.IntN(6)) }

func (c chooser) value() string {
	return c.of("0", "1", "-5", "41", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "007", "+1", " 1",
		"", "word", "two words", "\r\n", "\x00\xff", strings.Repeat("long", 1000))
}

func (c chooser) number() string {
	return c.of("0", "1", "-1", "7", "100", "9223372036854775807", "-9223372036854775808", "x", "1.5", "")
}

// lifetime returns a number of seconds or of milliseconds. No positive number is so small that
// a key expires during the test: the two servers are not asked at the same moment.
func (c chooser) lifetime() string {
	return c.of("1000000", "1000000000", "0", "-1", "9223372036854775807", "-9223372036854775808", "x", "")
}

func (c chooser) command() (words []string) {
	switch c.IntN(15) {
	case 0:
		words = []string{c.of("GET", "get", "TTL", "PTTL", "PERSIST", "EXISTS", "DEL"), c.key()}
	case 1, 2, 3:
		words = []string{"SET", c.key(), c.value()}
		for range c.IntN(4) {
			switch c.IntN(4) {
			case 0:
				words = append(words, c.of("NX", "xx", "GET", "KeepTTL", "FOO"))
			case 1:
				words = append(words, c.of("EX", "px"), c.lifetime())
			case 2:
				words = append(words, c.of("EX", "PX"), "1000000")
			}
		}
	case 4:
		words = []string{c.of("INCR", "DECR"), c.key()}
	case 5, 6:
		words = []string{c.of("INCRBY", "DECRBY"), c.key(), c.number()}
	case 7:
		words = []string{c.of("EXPIRE", "PEXPIRE"), c.key(), c.lifetime()}
	case 8:
		words = []string{c.of("EXPIRE", "PEXPIRE"), c.key(), "1000000"}
	case 9:
		words = []string{c.of("MGET", "EXISTS", "DEL"), c.key(), c.key(), c.key()}
	case 10:
		words = []string{"MSET", c.key(), c.value(), c.key(), c.value()}
	case 11:
		words = []string{c.of("DBSIZE", "PING", "FLUSHALL", "MGET", "NOSUCH", "")}
	case 12:
		words = []string{c.of("ECHO", "PING", "FLUSHALL", "SELECT", "NOSUCH"), c.of("0", "99", "sync", "ASYNC", "x", "a\r\nb", strings.Repeat("y", 200))}
	case 13:
		words = []string{c.of("TTL", "GET", "PTTL"), c.key()}
	case 14:
		// Hardly any key has the same time already, so the clock does not decide which
		// time is greater.
		words = []string{c.of("EXPIRE", "PEXPIRE"), c.key(), fmt.Sprint(1_100_000 + 10_000*c.IntN(100_000))}
		for range 1 + c.IntN(3) {
			words = append(words, c.of("NX", "XX", "xx", "gt", "GT", "LT", "LT", "FOO"))
		}
	}
	switch c.IntN(30) {
	case 0:
		words = words[:max(1, len(words)-1)]
	case 1:
		words = append(words, c.of("extra", ""))
	}
	return words
}

// Our replies to random commands equal those of Redis, byte by byte.
func TestAnswersAreThoseOfRedis(t *testing.T) {
	theirs := connect(t, "unix", redisServer(t))
	p := start(t)
	ours := open(t, p)
	seed := uint64(time.Now().UnixNano())
	c := chooser{rand.New(rand.NewPCG(seed, 0))}
	for i := range 3000 {
		words := c.command()
		want, got := theirs.do(words...), ours.do(words...)
		if strings.EqualFold(words[0], "PTTL") && want[0] == ':' {
			// The two commands run some milliseconds apart, or seconds on a machine that stands still.
			w, _ := strconv.Atoi(strings.TrimSpace(want[1:]))
			g, _ := strconv.Atoi(strings.TrimSpace(got[1:]))
			require.InDelta(t, w, g, 60000, "seed %d, command %d: %q", seed, i, words)
			continue
		}
		if strings.EqualFold(words[0], "TTL") && want[0] == ':' {
			w, _ := strconv.Atoi(strings.TrimSpace(want[1:]))
			g, _ := strconv.Atoi(strings.TrimSpace(got[1:]))
			require.InDelta(t, w, g, 60, "seed %d, command %d: %q", seed, i, words)
			continue
		}
		require.Equal(t, want, got, "seed %d, command %d: %q", seed, i, words)
	}
	p.Stop()
}

// The program answers an invalid request as Redis does, and closes the connection.
func TestProtocolIsThatOfRedis(t *testing.T) {
	path := redisServer(t)
	p := start(t)
	for _, in := range []string{
		"PING\r\n", "ping\n", "  PING  x \r\n", "\r\n\r\nPING\r\n", "ECHO \"a\\x41\\n\\q\"\r\n", `ECHO 'a\'b'` + "\r\n",
		"ECHO \"a\r\n", "ECHO 'a'b\r\n", "ECHO \"\"\r\n", "ECHO x\"y\"\r\n",
		"COMMAND INFO none\r\n", "*0\r\nPING\r\n", "*-1\r\nPING\r\n", "*x\r\n", "*01\r\n", "*1\r\nPING\r\n", "*1\r\n$x\r\n", "*1\r\n$-1\r\n",
		"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n$9999999999\r\n",
	} {
		t.Run(fmt.Sprintf("%.30q", in), func(t *testing.T) {
			answer := func(s *session) string {
				_, err := s.Write([]byte(in))
				require.NoError(t, err)
				require.NoError(t, s.Conn.(interface{ CloseWrite() error }).CloseWrite())
				all, err := io.ReadAll(s)
				require.NoError(t, err)
				return string(all)
			}
			require.Equal(t, answer(connect(t, "unix", path)), answer(open(t, p)))
		})
	}
	p.Stop()
}
