package socket

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Release gives the descriptor back with the input that was read ahead, and Resume goes
// on where the socket was.
func TestReleaseAndResume(t *testing.T) {
	for _, first := range []string{"", "line\nrest"} {
		s, peer := tcpPair(t)
		want := ""
		if first != "" {
			put(t, peer, first)
			line, err := s.ReadLine()
			require.NoError(t, err)
			require.Equal(t, "line", line)
			want = "rest"
		}
		number := s.Fd()
		fd, input, err := s.Release()
		require.NoError(t, err)
		require.Equal(t, number, fd)
		require.Equal(t, want, string(input))
		require.Zero(t, s.Buffered())
		for range 2 {
			none, nothing, err := s.Release()
			require.ErrorIs(t, err, unix.EBADF)
			require.ErrorContains(t, err, "release")
			require.Equal(t, -1, none)
			require.Nil(t, nothing)
		}

		resumed, err := Config{MaxLine: 7}.Resume(fd, input)
		require.NoError(t, err)
		defer resumed.Close()
		require.Equal(t, number, resumed.Fd())
		require.Equal(t, len(want), resumed.Buffered())
		put(t, peer, "of it\n")
		line, err := resumed.ReadLine()
		if first == "" {
			require.NoError(t, err)
			require.Equal(t, "of it", line)
		} else {
			require.Error(t, err, "it is longer than MaxLine")
		}
	}
}

// A socket that a call uses is not released, and stays as it is.
func TestReleaseDuringACall(t *testing.T) {
	s, peer := tcpPair(t)
	reading := blocked(t, "Recv", func() error { _, err := s.Recv(make([]byte, 1), 0); return err })
	fd, input, err := s.Release()
	require.ErrorIs(t, err, unix.EBUSY)
	require.Equal(t, -1, fd)
	require.Nil(t, input)
	put(t, peer, "x")
	require.NoError(t, soon(t, reading))
	fd, _, err = s.Release()
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	_, err = Resume(fd, nil)
	require.ErrorIs(t, err, unix.EBADF)
	require.ErrorContains(t, err, "resume")
}

// What makes a socket on a group that is closed, or by a Config whose Prepare fails,
// leaves no descriptor and no file behind, and a descriptor that it was given as it was.
func TestFailureOfEachMaker(t *testing.T) {
	_, err := loop.Default() // its descriptors are open from then on
	require.NoError(t, err)
	closed, err := loop.NewGroup(1, nil, loop.Options{})
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	why := errors.New("on purpose")
	calls := 0
	path := filepath.Join(t.TempDir(), "s")
	for name, c := range map[string]struct {
		cfg  Config
		want error
	}{
		"a closed group": {Config{Group: closed}, loop.ErrLoopClosed},
		"the first":      {Config{Prepare: func(int) error { return why }}, why},
		"the second":     {Config{Prepare: func(int) error { calls++; return map[int]error{2: why}[calls] }}, why},
		"offload":        {Config{GSO: 1 << 20}, nil},
	} {
		free := func() int {
			fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			unix.Close(fd)
			return fd
		}
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		flags := func() [2]int {
			status, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
			require.NoError(t, err)
			d, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0)
			require.NoError(t, err)
			return [2]int{status, d}
		}
		_, err = unix.FcntlInt(uintptr(fds[0]), unix.F_SETFD, 0)
		require.NoError(t, err)
		before, was := free(), flags()
		for maker, call := range map[string]func() (*Socket, error){
			"pair":   func() (*Socket, error) { a, b, err := c.cfg.Pair(Unix, Stream, 0); require.Nil(t, b); return a, err },
			"adopt":  func() (*Socket, error) { return c.cfg.Adopt(fds[0]) },
			"resume": func() (*Socket, error) { return c.cfg.Resume(fds[0], []byte("x")) },
			"new": func() (*Socket, error) {
				cfg := c.cfg
				cfg.Filename = path
				return cfg.New(Unix, Stream, 0)
			},
		} {
			calls = 0
			if name == "the second" && maker != "pair" {
				continue
			}
			s, err := call()
			require.Error(t, err, "%s, %s", name, maker)
			if c.want != nil {
				require.ErrorIs(t, err, c.want, "%s, %s", name, maker)
			} else {
				require.ErrorContains(t, err, "UDP_SEGMENT")
			}
			require.Nil(t, s)
			require.Equal(t, before, free(), "%s, %s", name, maker)
			require.Equal(t, was, flags(), "%s, %s", name, maker)
			_, err = os.Stat(path)
			require.ErrorIs(t, err, os.ErrNotExist)
		}
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
}

// Dump says what the input holds: a block of memory while something is in it.
func TestDumpSaysWhatIsHeld(t *testing.T) {
	s, peer := inputPair(t, Stream)
	held := func() string {
		var b strings.Builder
		require.NoError(t, s.Dump(&b))
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, "held") {
				return strings.TrimSpace(line)
			}
		}
		t.Fatal(b.String())
		return ""
	}
	before := held()
	put(t, peer, "ab")
	_, _, err := s.ReadRune()
	require.NoError(t, err)
	require.NotEqual(t, before, held())
	_, _, err = s.ReadRune()
	require.NoError(t, err)
	require.Equal(t, before, held())
}

// A name that is not known gives a list of those that are.
func TestParseFamilyNamesTheKnownOnes(t *testing.T) {
	v, err := ParseFamily("nowhere")
	require.ErrorContains(t, err, `"nowhere"`)
	require.Zero(t, v)
	_, known, found := strings.Cut(err.Error(), "the known ones are ")
	require.True(t, found)
	for _, name := range strings.Split(strings.TrimSuffix(known, ")"), ", ") {
		_, err := ParseFamily(name)
		require.NoError(t, err, "%q", name)
	}
}
