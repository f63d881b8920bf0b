package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
)

// A bench is a worker without connections.
type bench struct {
	*worker
	t      *testing.T
	parser parser
}

func newBench(t *testing.T, memory size) *bench {
	t.Helper()
	group, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, group.Close()) })
	s := newServer(options{loops: 2, max: 1, memory: memory, request: testLimit}, group)
	return &bench{
		worker: s.workers[group.Loops()[0]],
		t:      t,
		parser: parser{limit: testLimit},
	}
}

// send returns the replies to an input.
func (b *bench) send(in string) string {
	b.t.Helper()
	used, err := b.run(&b.parser, []byte(in))
	require.NoError(b.t, err)
	require.Equal(b.t, len(in), used)
	out := string(b.out)
	b.out = b.out[:0]
	return out
}

// do returns the reply to a command whose words have no blanks.
func (b *bench) do(command string) string {
	b.t.Helper()
	return b.send(string(request(strings.Fields(command)...)))
}

func TestCommands(t *testing.T) {
	for _, c := range []string{
		"PING -> +PONG",
		"ping a -> $1 a",
		"PING a b -> -ERR wrong number of arguments for 'ping' command",
		"ECHO a -> $1 a",
		"ECHO -> -ERR wrong number of arguments for 'echo' command",
		"GET k -> $-1",
		"SET k v -> +OK; GET k -> $1 v; TTL k -> :-1; PTTL none -> :-2",
		"SET k v NX -> +OK; SET k w NX -> $-1; GET k -> $1 v",
		"SET k v XX -> $-1; GET k -> $-1",
		"SET k v; SET k w XX GET -> $1 v; GET k -> $1 w",
		"SET k v GET -> $-1; SET k w NX GET -> $1 v; GET k -> $1 v",
		"SET k v NX XX -> -ERR syntax error",
		"SET k v EX 1 PX 1 -> -ERR syntax error",
		"SET k v EX 1 KEEPTTL -> -ERR syntax error",
		"SET k v EX -> -ERR syntax error",
		"SET k v EX x -> -ERR value is not an integer or out of range",
		"SET k v EX 0 -> -ERR invalid expire time in 'set' command",
		"SET k v EX 9223372036854775807 -> -ERR invalid expire time in 'set' command",
		"SET k v EX 100; TTL k -> :100; SET k w; TTL k -> :-1",
		"SET k v PX 100000; TTL k -> :100; SET k w KEEPTTL; TTL k -> :100; PERSIST k -> :1; TTL k -> :-1",
		"SET k v; PERSIST k -> :0; PERSIST none -> :0",
		"SET k v; EXPIRE k 10 -> :1; TTL k -> :10; PEXPIRE k 20000 -> :1; TTL k -> :20",
		"EXPIRE none 10 -> :0; SET k v; EXPIRE k 0 -> :1; GET k -> $-1",
		"SET k v; PEXPIRE k -1 -> :1; EXISTS k -> :0",
		"SET k v; EXPIRE k 9223372036854775807 -> -ERR invalid expire time in 'expire' command; TTL k -> :-1",
		"SET k v; EXPIRE k 1.5 -> -ERR value is not an integer or out of range",
		"SET k v; EXPIRE k 10 XX -> :0; EXPIRE k 10 nx -> :1; EXPIRE k 20 NX -> :0; EXPIRE k 30 XX -> :1; TTL k -> :30",
		"SET k v; EXPIRE k 10 GT -> :0; TTL k -> :-1; EXPIRE k 20 LT -> :1; EXPIRE k 30 LT -> :0; EXPIRE k 10 GT -> :0; TTL k -> :20",
		"SET k v EX 20; PEXPIRE k 30000 XX GT -> :1; TTL k -> :30; PEXPIRE k 10000 LT LT -> :1; TTL k -> :10",
		"SET k v; EXPIRE k -1 XX LT -> :0; EXPIRE k -1 GT -> :0; EXPIRE k -1 LT -> :1; EXISTS k -> :0",
		"SET k v; EXPIRE k x NX FOO -> -ERR Unsupported option FOO; EXPIRE k x NX -> -ERR value is not an integer or out of range",
		"EXPIRE k x LT NX -> -ERR NX and XX, GT or LT options at the same time are not compatible",
		"PEXPIRE k x XX GT LT -> -ERR GT and LT options at the same time are not compatible; EXPIRE none 1 NX -> :0",
		"MSET a 1 b 2 a 3 -> +OK; MGET a b c -> *3 $1 3 $1 2 $-1; DBSIZE -> :2",
		"MSET a -> -ERR wrong number of arguments for 'mset' command",
		"MSET a 1 b -> -ERR wrong number of arguments for 'mset' command",
		"MSET a 1 b 2; EXISTS a b a c -> :3; DEL a a b c -> :2; DBSIZE -> :0",
		"INCR n -> :1; INCRBY n 41 -> :42; DECR n -> :41; DECRBY n 50 -> :-9; GET n -> $2 -9",
		"SET n x; INCR n -> -ERR value is not an integer or out of range",
		"SET n 9223372036854775807; INCR n -> -ERR increment or decrement would overflow",
		"DECRBY n -9223372036854775808 -> -ERR decrement would overflow",
		"SET n 5 EX 100; INCR n -> :6; TTL n -> :100",
		"MSET a 1 b 2; FLUSHALL -> +OK; DBSIZE -> :0; GET a -> $-1",
		"FLUSHALL now -> -ERR syntax error",
		"SELECT 0 -> +OK; SELECT 1 -> -ERR DB index is out of range",
		"CONFIG GET save -> *2 $4 save $0 ; CONFIG GET maxmemor? -> *2 $9 maxmemory $9 268435456",
		"CONFIG GET nothing -> *0",
		"CONFIG SET save x -> -ERR unknown subcommand or wrong number of arguments for 'SET'. Try CONFIG.",
		"COMMAND COUNT -> :24; COMMAND DOCS -> *0",
		"COMMAND INFO get none -> *2 *6 $3 get :2 *2 +readonly +fast :1 :1 :1 $-1",
		"NOSUCH a b -> -ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ",
		"INCRBYFLOATINGLY a -> -ERR unknown command 'INCRBYFLOATINGLY', with args beginning with: 'a' ",
	} {
		t.Run(c, func(t *testing.T) {
			b := newBench(t, 256<<20)
			b.db.clock = func() time.Duration { return time.Hour } // no time passes
			for step := range strings.SplitSeq(c, "; ") {
				command, want, check := strings.Cut(step, " -> ")
				got := b.do(command)
				if check {
					got = strings.ReplaceAll(strings.TrimSuffix(got, "\r\n"), "\r\n", " ")
					require.Equal(t, want, got, command)
				}
			}
		})
	}
}

// The help names all commands, and no name is longer than maxName.
func TestNamesAreFound(t *testing.T) {
	b := newBench(t, 1<<20)
	for _, name := range names() {
		_, err := b.run(&b.parser, request(strings.ToUpper(name), "a", "b", "c", "d"))
		require.True(t, err == nil || name == "quit")
		require.NotContains(t, string(b.out), "unknown command '")
		b.out = b.out[:0]
	}
}

func TestQuitIsTheLast(t *testing.T) {
	b := newBench(t, 1<<20)
	used, err := b.run(&b.parser, []byte("QUIT\r\nPING\r\n"))
	require.ErrorIs(t, err, errQuit)
	require.Equal(t, 6, used)
	require.Equal(t, "+OK\r\n", string(b.out))
}

// A web page cannot make a browser run commands.
func TestHTTPEndsTheConnection(t *testing.T) {
	for _, first := range []string{"POST / HTTP/1.1\r\n", "Host: localhost:6380\r\n"} {
		b := newBench(t, 1<<20)
		used, err := b.run(&b.parser, []byte(first+"SET k v\r\n"))
		require.ErrorIs(t, err, errQuit)
		require.Equal(t, len(first), used)
		require.Contains(t, string(b.out), "HTTP")
	}
}

// A key exists until its time has come, and not afterwards, even if its timer has not
// fired.
func TestExpiredIsNeverSeen(t *testing.T) {
	for _, c := range []struct{ command, before, after string }{
		{"GET k", "$1\r\n7\r\n", "$-1\r\n"},
		{"MGET k", "*1\r\n$1\r\n7\r\n", "*1\r\n$-1\r\n"},
		{"EXISTS k", ":1\r\n", ":0\r\n"},
		{"DEL k", ":1\r\n", ":0\r\n"},
		{"TTL k", ":0\r\n", ":-2\r\n"},
		{"PTTL k", ":1\r\n", ":-2\r\n"},
		{"PERSIST k", ":1\r\n", ":0\r\n"},
		{"EXPIRE k 10", ":1\r\n", ":0\r\n"},
		{"INCR k", ":8\r\n", ":1\r\n"},
		{"SET k v NX", "$-1\r\n", "+OK\r\n"},
		{"SET k v XX", "+OK\r\n", "$-1\r\n"},
		{"SET k v GET", "$1\r\n7\r\n", "$-1\r\n"},
	} {
		t.Run(c.command, func(t *testing.T) {
			for _, late := range []bool{false, true} {
				b := newBench(t, 1<<20)
				now := time.Duration(0) // its timers are an hour away
				b.db.clock = func() time.Duration { return now }
				b.do("SET k 7 PX 3600000")
				now = time.Hour - 1
				want := c.before
				if late {
					now, want = time.Hour, c.after
				}
				require.Equal(t, want, b.do(c.command))
			}
		})
	}
}

// The timers remove keys that no client requests, and free their memory.
func TestTimersStrike(t *testing.T) {
	b := newBench(t, 16<<20)
	for i := range 1000 {
		b.do(fmt.Sprintf("SET k%d v PX %d", i, 1+i%50))
	}
	expired := uint64(1000)
	for _, change := range []string{"EXPIRE longer 1000", "PERSIST stays"} {
		set := "SET " + strings.Fields(change)[1] + " v PX 1"
		for b.do(set); b.do(change) != ":1\r\n"; b.do(set) {
			expired++ // its millisecond was over before the change
		}
	}
	require.Eventually(t, func() bool { return b.db.size() <= 2 }, time.Minute, time.Millisecond)
	require.Equal(t, ":2\r\n", b.do("EXISTS longer stays"))
	b.do("DEL longer stays")
	require.Zero(t, b.db.used.Load())
	require.Equal(t, expired, b.db.expired.Load())
}

func TestMemoryIsBounded(t *testing.T) {
	b := newBench(t, 400<<10/3) // a quarter is for requests and replies
	var n int
	reply := "+OK\r\n"
	for ; reply == "+OK\r\n" && n < 1000; n++ {
		reply = b.do(fmt.Sprintf("SET k%d %s", n, strings.Repeat("v", 1000)))
	}
	require.Equal(t, "-"+errMemory+"\r\n", reply)
	require.InDelta(t, 90, n, 10)

	oom := "-" + errMemory + "\r\n"
	before := b.db.used.Load()
	require.LessOrEqual(t, before, int64(100<<10))
	more := strings.Repeat("v", 3000)
	require.Equal(t, oom, b.do("SET k0 "+more), "a longer value")
	require.Equal(t, oom, b.do("MSET k0 a k1 "+more+" new "+more))
	require.Equal(t, oom, b.do("MSET "+strings.Repeat("k "+more+" ", 10)))
	require.Equal(t, oom, b.do("INCRBY k"+strings.Repeat("e", 2000)+" 1"))
	require.Contains(t, b.do("GET k0"), "$1000\r\n", "a command that is refused changes nothing")
	require.Equal(t, before, b.db.used.Load())

	require.Equal(t, "+OK\r\n", b.do("SET k0 "+strings.Repeat("w", 1000)), "what needs no more memory")
	require.Equal(t, ":1\r\n", b.do("DEL k1"))
	require.Equal(t, "+OK\r\n", b.do("SET k1 "+strings.Repeat("w", 1000)), "there is room again")
	b.do("FLUSHALL")
	require.Zero(t, b.db.used.Load())
}

// After any use of the keys, the counted memory is 0 when no key is left.
func TestMemoryIsCounted(t *testing.T) {
	b := newBench(t, 16<<20)
	for _, size := range []int{1, 1000, 10, 0, 500, 499, 70} {
		value := strings.Repeat("1", size)
		b.send(string(request("SET", "a", value)))
		b.send(string(request("MSET", "b", value, "c", "", "b", value+value)))
		b.do("SET d 1 EX 100")
		b.do("INCRBY d 1000000")
		b.do("EXPIRE b 100")
	}
	require.Positive(t, b.db.used.Load())
	b.do("DEL a b c d")
	require.Zero(t, b.db.used.Load())
}

// The counted memory is close to the memory that the program uses.
func TestMemoryIsWhatItTakes(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes more")
	}
	for _, command := range []string{"SET key:%06d vvvvvvvvvvvvvvvv", "SET key:%06d vvvvvvvvvvvvvvvv EX 1000"} {
		b := newBench(t, 1<<30)
		heap := func() int64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		for i := range 100_000 {
			b.do(fmt.Sprintf(command, i))
		}
		took := heap() - before
		require.InEpsilon(t, took, b.db.used.Load(), 0.3, command)
		runtime.KeepAlive(b)
	}
}

// A request that stores nothing new allocates nothing.
func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	b := newBench(t, 1<<20)
	burst := []byte("PING\r\n")
	for _, words := range []string{
		"SET k value", "SET k VALUE EX 100", "GET k", "MSET a 1 b 2", "MGET a b", "SET n 10", "INCR n", "EXISTS a b",
		"EXPIRE k 50", "TTL k", "ECHO hello", "DEL none", "PERSIST k",
	} {
		burst = append(burst, request(strings.Fields(words)...)...)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if used, err := b.run(&b.parser, burst); used != len(burst) || err != nil {
			panic(err)
		}
		b.out = b.out[:0]
	}))
}

func TestReplyIsBounded(t *testing.T) {
	b := newBench(t, 64<<20)
	b.send(string(request("SET", "k", strings.Repeat("v", testLimit-100))))
	require.Greater(t, len(b.do("MGET k")), testLimit-100)
	require.Equal(t, "-"+errReply+"\r\n", b.do("MGET k k"))
	require.Equal(t, "+PONG\r\n", b.do("PING"))
}

// A command on many keys is atomic, whatever loops the keys belong to.
func TestManyKeysAtOnce(t *testing.T) {
	b := newBench(t, 1<<20)
	keys := strings.Fields("a b c d e f g h")
	var mset, mget strings.Builder
	mset.WriteString("MSET")
	mget.WriteString("MGET")
	for _, k := range keys {
		mset.WriteString(" " + k + " %[1]d")
		mget.WriteString(" " + k)
	}
	b.do(fmt.Sprintf(mset.String(), 0))
	var writers sync.WaitGroup
	done := make(chan struct{})
	for i := range 3 {
		writers.Go(func() {
			mine := bench{t: t, parser: parser{limit: testLimit}, worker: &worker{db: b.db, srv: b.srv, maxReply: testLimit}}
			for n := i; ; n++ {
				select {
				case <-done:
					return
				default:
					mine.do(fmt.Sprintf(mset.String(), n%10))
				}
			}
		})
	}
	for range 3000 {
		got := b.do(mget.String())
		value := strings.Split(got, "\r\n")[2]
		require.Equal(t, len(keys), strings.Count(got, "\r\n"+value+"\r\n$")+1, got)
	}
	close(done)
	writers.Wait()
}
