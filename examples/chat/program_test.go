package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { weirtest.ProgramMain(m, main) }

// start runs the program on a free port.
func start(t *testing.T, args ...string) *programtest.Program {
	t.Helper()
	return programtest.Start(t, append([]string{"-address", "127.0.0.1:0"}, args...)...)
}

// A person is a client that reads lines.
type person struct {
	t testing.TB
	net.Conn
	lines *bufio.Reader
	nick  string
}

// join connects a person, and waits until the room has let it in.
func join(t testing.TB, p *programtest.Program) *person {
	t.Helper()
	return arrive(t, p, net.Dialer{})
}

// joinNarrow is join with a small receive buffer, which fills soon.
func joinNarrow(t testing.TB, p *programtest.Program) *person {
	t.Helper()
	return arrive(t, p, net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
		})
	}})
}

func arrive(t testing.TB, p *programtest.Program, d net.Dialer) *person {
	t.Helper()
	c, err := d.Dial("tcp", p.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(3*programtest.Patience)))
	who := &person{t: t, Conn: c, lines: bufio.NewReader(c)}
	welcome := who.until("* welcome, ")
	who.nick, _, _ = strings.Cut(strings.TrimPrefix(welcome, "* welcome, "), ";")
	for { // a crowd that joins at once gets a number instead of its names
		if line := who.sees(); line == "* "+who.nick+" joined" || strings.HasSuffix(line, " more joined") {
			return who
		}
	}
}

func (p *person) says(format string, args ...any) {
	p.t.Helper()
	_, err := fmt.Fprintf(p, format+"\n", args...)
	require.NoError(p.t, err)
}

func (p *person) sees() string {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	require.NoError(p.t, err)
	return strings.TrimSuffix(line, "\n")
}

// until returns the next line that begins with prefix.
func (p *person) until(begin string) string {
	p.t.Helper()
	for {
		if line := p.sees(); strings.HasPrefix(line, begin) {
			return line
		}
	}
}

// hears is until for a member whom a busy machine may send away by chance. It returns "" when the
// server has closed.
func (p *person) hears(begin string) string {
	for {
		line, err := p.lines.ReadString('\n')
		if err != nil {
			return ""
		}
		if strings.HasPrefix(line, begin) {
			return strings.TrimSuffix(line, "\n")
		}
	}
}

// rest returns everything that comes until the server closes, and then closes the client.
// If the client has sent nothing, the server waits for that close.
func (p *person) rest() string {
	p.t.Helper()
	rest, err := io.ReadAll(p.lines)
	require.NoError(p.t, err)
	require.NoError(p.t, p.Close())
	return string(rest)
}

func TestHelp(t *testing.T) {
	programtest.Helps(t, "-address", "-loops", "-max", "-line", "-queue", "-idle", "-write", "-grace")
}

func TestBadArguments(t *testing.T) {
	programtest.Refuses(t, []programtest.Refusal{
		{Args: "-address 7008", Code: 2, Want: []string{"-address", `"7008"`}},
		{Args: "-address 127.0.0.1:70000", Code: 2, Want: []string{"-address", `"70000"`, "65535"}},
		{Args: "-loops 0", Code: 2, Want: []string{"-loops", "0"}},
		{Args: "-max 0", Code: 2, Want: []string{"-max", "0"}},
		{Args: "-line 15", Code: 2, Want: []string{"-line", "15", "16384"}},
		{Args: "-queue 100", Code: 2, Want: []string{"-queue", "100", "131072"}},
		{Args: "-idle -1s", Code: 2, Want: []string{"-idle", "-1s"}},
		{Args: "-write 0", Code: 2, Want: []string{"-write", "0s"}},
		{Args: "-grace 0", Code: 2, Want: []string{"-grace", "0s"}},
		{Args: "-port 7", Code: 2, Want: []string{"-port", "-help"}},
		{Args: "7008", Code: 2, Want: []string{`"7008"`}},
		{Args: "-address 192.0.2.1:0", Code: 1, Want: []string{"-address", "192.0.2.1:0", "bind"}},
	})
}

// A person with nc and one with socat talk.
func TestConversation(t *testing.T) {
	p := start(t)
	host, port, err := net.SplitHostPort(p.Addr)
	require.NoError(t, err)
	begin := func(cmd *exec.Cmd) (io.WriteCloser, *person) {
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { cmd.Wait() })
		return in, &person{t: t, lines: bufio.NewReader(out)}
	}
	toAda, ada := begin(programtest.Tool(t, "nc.openbsd", "-N", host, port))
	ada.until("* guest1 joined")
	toBob, bob := begin(programtest.Tool(t, "socat", "-", "TCP:"+p.Addr))
	bob.until("* guest2 joined")

	fmt.Fprint(toAda, "/nick ada\n")
	bob.until("* guest1 is now ada")
	fmt.Fprint(toBob, "/nick ada\n/nick bob\r\n")
	require.Equal(t, "* somebody else is ada", bob.sees())
	ada.until("* guest2 is now bob")
	fmt.Fprint(toAda, "hello, bob\n")
	require.Equal(t, "<ada> hello, bob", bob.until("<"))
	fmt.Fprint(toBob, "  hello, ada \r\n\r\n/who\n")
	require.Equal(t, "* 2 here: ada bob", bob.until("* 2 here"))
	ada.until("<ada> hello, bob")
	require.Equal(t, "<bob> hello, ada", ada.sees())

	fmt.Fprint(toBob, "/quit so long\n")
	require.Equal(t, "* goodbye", bob.until("* goodbye"))
	require.Equal(t, "* bob left: so long", ada.sees())
	toBob.Close()

	// Everything that nc sends before its end arrives, even a line without a newline.
	third := join(t, p)
	fmt.Fprint(toAda, "one\ntwo")
	require.NoError(t, toAda.Close())
	require.Equal(t, "<ada> one", third.sees())
	require.Equal(t, "<ada> two", third.sees())
	require.Equal(t, "* ada left", third.sees())
	require.NoError(t, third.Close())
	p.Stop()
}

func TestLines(t *testing.T) {
	p := start(t, "-line", "32")
	full, over := strings.Repeat("x", 32), strings.Repeat("x", 33)
	const tooLong = "* that line is longer than 32 bytes, and was not sent"
	for _, c := range []struct{ send, want string }{
		{"a\n\nb\n", "<$> a\n<$> b"},
		{full + "\r\n", "<$> " + full},
		{over + "\n/foo\n", tooLong + "\n* there is no command /foo; /help tells which there are"},
		{strings.Repeat("long ", 100_000) + "\nz\n", tooLong + "\n<$> z"},
		{"a\x1b[2Jb\x00\n", "<$> a\uFFFD[2Jb\uFFFD"},
		{"\xff\xfe\n", "<$> \uFFFD\uFFFD"},
		{"/nick " + strings.Repeat("n", 21) + "\n", "* a name has 1 to 20 characters: /nick NAME"},
		{"/nick\n", "* a name has 1 to 20 characters: /nick NAME"},
		{"/nick a/b\n", "* a name has letters, digits, - and _, but not '/'"},
		{"/help\n", "* /nick NAME gives you a name, /who lists the members, /quit [WORDS] leaves"},
	} {
		for _, pieces := range []bool{false, true} {
			who := join(t, p)
			if pieces && len(c.send) < 100 {
				for _, b := range []byte(c.send) {
					_, err := who.Write([]byte{b})
					require.NoError(t, err)
				}
			} else {
				_, err := who.Write([]byte(c.send))
				require.NoError(t, err)
			}
			for line := range strings.SplitSeq(c.want, "\n") {
				got := who.sees()
				for strings.HasPrefix(got, "* guest") { // a member has joined or left
					got = who.sees()
				}
				require.Equal(t, strings.ReplaceAll(line, "$", who.nick), got, "%.50q", c.send)
			}
			who.says("/quit")
			who.until("* goodbye")
			require.NoError(t, who.Close())
		}
	}
	p.Stop()
}

func TestSilentMemberIsSentAway(t *testing.T) {
	machine.WithTime(t, 600*time.Millisecond, func(idle time.Duration) bool {
		p := start(t, "-idle", idle.String())
		who := join(t, p)
		var begun time.Time
		for range 3 { // each line has the whole timeout
			time.Sleep(idle / 3)
			begun = time.Now()
			fmt.Fprintln(who, "still here")
			if who.hears("<") == "" {
				return false // the machine stood still for longer than the timeout
			}
		}
		other := join(t, p)
		stop := time.AfterFunc(idle/2, func() { fmt.Fprintln(other, "and so am I") })
		defer stop.Stop()
		require.Equal(t, "* you were silent for "+idle.String()+": goodbye", who.until("* you"))
		require.Empty(t, who.rest())
		require.GreaterOrEqual(t, time.Since(begun), idle)
		left := other.hears("* " + who.nick)
		if left == "" {
			return false
		}
		require.Equal(t, "* "+who.nick+" left: was silent for "+idle.String(), left)
		p.Stop()
		return true
	})
}

func TestMemberWhoNeverReadsIsSentAway(t *testing.T) {
	machine.WithTime(t, 300*time.Millisecond, func(limit time.Duration) bool {
		p := start(t, "-write", limit.String())
		stuck, talker := joinNarrow(t, p), join(t, p)
		for i := 0; ; i++ {
			if i < 1000 { // more than all buffers hold
				fmt.Fprintln(talker, strings.Repeat("x", 1000))
			}
			line := talker.hears("")
			if line == "" {
				return false // the talker did not read in time, either
			}
			if line[0] == '*' {
				require.Equal(t, "* "+stuck.nick+" left: did not read for "+limit.String(), line)
				break
			}
		}
		require.NoError(t, talker.Close())
		p.Stop()
		return true
	})
}

// Lines that have arrived before the signal are delivered to all members that read.
func TestStopLosesNothing(t *testing.T) {
	p := start(t, "-grace", "1h")
	const talkers, count = 4, 200
	var all []*person
	for range talkers {
		all = append(all, join(t, p))
	}
	listener := join(t, p)
	p.Signal(syscall.SIGSTOP) // so that the program cannot read the lines yet
	for _, who := range all {
		for i := range count {
			who.says("line %d", i)
		}
	}
	p.Signal(syscall.SIGTERM)
	p.Signal(syscall.SIGCONT)
	said := make(map[string]int)
	for line := range strings.SplitSeq(strings.TrimSpace(listener.rest()), "\n") {
		nick, words, found := strings.Cut(line, "> ")
		if found {
			require.Equal(t, fmt.Sprint("line ", said[nick]), words)
			said[nick]++
		}
	}
	for _, who := range all {
		require.Equal(t, count, said["<"+who.nick])
		require.Contains(t, who.rest(), "* the server stops\n")
	}
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

// fill says more than the buffers of members that do not read can hold.
func fill(talker *person) {
	talker.t.Helper()
	for range 1000 {
		talker.says("%s", strings.Repeat("x", 1000))
		talker.until("<")
	}
}

func TestSecondSignalDoesNotWait(t *testing.T) {
	p := start(t, "-grace", "1h")
	who := joinNarrow(t, p)
	talker := join(t, p)
	fill(talker)
	p.Signal(syscall.SIGTERM)
	p.Await("stopping")
	talker.rest()
	p.Signal(syscall.SIGTERM)
	state, _ := p.Ended()
	require.Equal(t, syscall.SIGTERM, state.Sys().(syscall.WaitStatus).Signal())
	who.Close()
}

// A successor takes over the listener. The kernel refuses no connection meanwhile.
func TestHandover(t *testing.T) {
	p := start(t)
	old := join(t, p)
	refused := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		defer close(refused)
		for {
			select {
			case <-stop:
				return
			default:
			}
			c, err := net.Dial("tcp", p.Addr)
			if err != nil {
				refused <- err
				return
			}
			c.Close()
		}
	}()
	p.Signal(syscall.SIGUSR2)
	pid := regexp.MustCompile(`successor=(\d+)`).FindStringSubmatch(p.Await("handed over"))
	require.NotNil(t, pid)
	require.Equal(t, "* the server has a successor: please connect again", old.until("* the server"))
	old.rest()
	p.Await("stopped")
	close(stop)
	require.NoError(t, <-refused)

	again := join(t, p)
	again.says("hello")
	require.Equal(t, "<"+again.nick+"> hello", again.until("<"))
	require.NoError(t, again.Close())
	var successor int
	fmt.Sscan(pid[1], &successor)
	require.NoError(t, syscall.Kill(successor, syscall.SIGTERM))
	_, log := p.Ended()
	require.Contains(t, log, "stopped")
}

func TestHangup(t *testing.T) {
	programtest.StopsOnHangup(t, start(t))
}
