package socket

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestReadRuneTimeoutLosesTheSequence(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "\xE2\x82")
	require.NoError(t, s.SetRecvTimeout(20*time.Millisecond))
	start := time.Now()
	_, size, err := s.ReadRune()
	requireTimeout(t, err)
	require.Zero(t, size)
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	require.Zero(t, s.Buffered())
	put(t, peer, "\xACA")
	requireBad(t, s, 1)
	requireRune(t, s, 'A')
}

func TestReadRuneInterruptedKeepsTheSequence(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "\xE2\x82")
	done := make(chan error)
	go func() {
		_, _, err := s.ReadRune()
		done <- err
	}()
	parked(t, "ReadRune", 1)
	s.Interrupt()
	require.ErrorIs(t, <-done, unix.EINTR)
	require.Equal(t, 2, s.Buffered())
	put(t, peer, "\xACA")
	requireRune(t, s, '€')
	requireRune(t, s, 'A')
}

// A call returns a known error only after the data that was read before it.
func TestOwedErrorComesAfterTheBuffer(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "abc\xE2")
	requireRune(t, s, 'a')
	s.core.owed.Store(uint32(unix.ECONNRESET))
	requireRune(t, s, 'b')
	requireRune(t, s, 'c')
	requireBad(t, s, 1)
	_, _, err := s.ReadRune()
	require.ErrorIs(t, err, unix.ECONNRESET)
	require.NoError(t, s.UnreadRune())
	s.core.owed.Store(uint32(unix.ECONNRESET))
	line, err := s.ReadLine()
	require.NoError(t, err)
	require.Equal(t, "c", line)
	_, err = s.ReadLine()
	require.ErrorIs(t, err, unix.ECONNRESET)
}

// It also returns the data that is queued in the kernel before the error, because a send
// found the error.
func TestOwedErrorComesAfterWhatIsQueued(t *testing.T) {
	for name, read := range map[string]func(s *Socket) (string, error){
		"recv": func(s *Socket) (string, error) {
			buf := make([]byte, 4)
			n, err := s.Recv(buf, 0)
			return string(buf[:n]), err
		},
		"recv, all of it": func(s *Socket) (string, error) {
			buf := make([]byte, 4)
			n, err := s.Recv(buf, unix.MSG_WAITALL)
			return string(buf[:n]), err
		},
		"recvmsg": func(s *Socket) (string, error) {
			buf := make([]byte, 4)
			n, err := s.RecvMsg(&Message{Buffers: [][]byte{buf}}, 0)
			return string(buf[:n]), err
		},
		"read": func(s *Socket) (string, error) {
			buf := make([]byte, 4)
			n, err := s.Read(buf)
			return string(buf[:n]), err
		},
		"read-line": func(s *Socket) (string, error) { return s.ReadLine() },
		"peek": func(s *Socket) (string, error) {
			data, err := s.Peek(100)
			defer s.Discard(len(data))
			return string(data), err
		},
		"splice": func(s *Socket) (string, error) {
			p, n, err := s.spliceIn(4)
			buf := make([]byte, n)
			if p != nil {
				_, err = unix.Read(p.out, buf)
				p.free()
			}
			return string(buf), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := inputPair(t, Stream)
			put(t, peer, "abc\nde")
			require.NoError(t, peer.Close())
			s.core.owed.Store(uint32(unix.ECONNRESET))
			got := ""
			for {
				part, err := read(s)
				got += strings.TrimSuffix(part, "\n")
				if err != nil {
					require.ErrorIs(t, err, unix.ECONNRESET)
					break
				}
				require.NotEmpty(t, part)
			}
			require.Equal(t, "abcde", strings.ReplaceAll(got, "\n", ""))
			_, err := s.ReadLine()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

// A timeout takes the sequence that its call began, and not a character that another call
// has pushed back meanwhile.
func TestReadRuneTimeoutSparesWhatIsPushedBack(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "a\xE2")
	requireRune(t, s, 'a')
	require.NoError(t, s.SetRecvTimeout(200*time.Millisecond))
	done := make(chan error)
	go func() {
		_, _, err := s.ReadRune()
		done <- err
	}()
	parked(t, "ReadRune", 1)
	require.NoError(t, s.UnreadRune())
	requireTimeout(t, <-done)
	require.True(t, s.CharInBuffer())
	requireRune(t, s, 'a')
}

// Each error covers one maximal subpart, however the bytes arrive.
func TestReadRuneMalformed(t *testing.T) {
	for _, c := range []struct {
		bytes string
		sizes []int // the size of each error
	}{
		{"\xE2\x82", []int{2}},
		{"\xC0\x80", []int{1, 1}},
		{"\xE0\x80\x80", []int{1, 1, 1}},
		{"\xED\xA0\x80", []int{1, 1, 1}},
		{"\xF4\x90\x80\x80", []int{1, 1, 1, 1}},
		{"\xF5\xF6\xF7\xF8\xF9\xFA\xFB\xFC\xFD\xFE\xFF", []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"\xF0\x9F\x98", []int{3}},
		{"\xF1\x80\xE1\x80\xC2", []int{2, 2, 1}},
		{"\x80\xBF", []int{1, 1}},
		{"\xC1", []int{1}},
	} {
		for _, maxString := range []int{1, 2, 3, 4096} {
			t.Run(fmt.Sprintf("% X by %d", c.bytes, maxString), func(t *testing.T) {
				s, peer := inputPair(t, Stream)
				sized(s, maxString, 0)
				put(t, peer, c.bytes+"A"+c.bytes)
				for _, size := range c.sizes {
					requireBad(t, s, size)
				}
				requireRune(t, s, 'A')
				peer.Close()
				for _, size := range c.sizes { // including the end of the stream
					requireBad(t, s, size)
				}
				_, _, err := s.ReadRune()
				require.Equal(t, io.EOF, err)
				require.True(t, s.EOF())
			})
		}
	}
}

// A buffer with a part of a character has bytes, but no character.
func TestPartOfACharacter(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "a\xE2\x82")
	requireRune(t, s, 'a')
	require.Equal(t, 2, s.Buffered())
	require.False(t, s.CharInBuffer())
	put(t, peer, "\xAC")
	requireRune(t, s, '€')
}

func TestReadString(t *testing.T) {
	s, peer := inputPair(t, Stream)
	sized(s, 8, 0)
	put(t, peer, "a\r\nb\nc\xE2\x82\xAC!")
	for _, want := range []string{"a\r\nb\nc\xE2\x82", "\xAC!"} {
		all, err := atOnce(s).ReadString()
		require.NoError(t, err)
		require.Equal(t, want, all)
	}
	put(t, peer, "abc")
	requireRune(t, s, 'a')
	put(t, peer, "def")
	all, err := s.ReadString()
	require.NoError(t, err)
	require.Equal(t, "bc", all, "there is no read while there is something")
	_, err = s.ReadString()
	require.NoError(t, err)
	_, err = s.ReadString()
	requireTimeout(t, err)
	peer.Close()
	all, err = s.ReadString()
	require.Equal(t, io.EOF, err)
	require.Empty(t, all)
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("0123456789", 100)
	for _, maxString := range []int{1, 7, 4096} {
		s, peer := inputPair(t, Stream)
		sized(s, maxString, 0)
		put(t, peer, "GET / HTTP/1.1\r\n\r\n\nc\rd\r\r\n"+long+"\nlast\r")
		peer.Close()
		for _, want := range []string{"GET / HTTP/1.1", "", "", "c\rd\r", long, "last\r"} {
			require.False(t, s.EOF())
			line, err := s.ReadLine()
			require.NoError(t, err)
			require.Equal(t, want, line)
		}
		require.True(t, s.EOF(), "the last line had no newline")
		_, err := s.ReadLine()
		require.Equal(t, io.EOF, err)
	}
}

func TestReadLineTimeoutLosesNothing(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "half ")
	_, err := atOnce(s).ReadLine()
	requireTimeout(t, err)
	require.Equal(t, 5, s.Buffered())
	in := s.core.input.Load()
	require.Equal(t, in.w, in.scanned, "the next call looks only at what comes")
	put(t, peer, "a line\n")
	line, err := s.ReadLine()
	require.NoError(t, err)
	require.Equal(t, "half a line", line)
	require.Zero(t, s.Buffered())

	// The read also finds a newline that is pushed back before the bytes that it has
	// already searched.
	put(t, peer, "\nabc")
	requireRune(t, s, '\n')
	_, err = s.ReadLine()
	requireTimeout(t, err)
	require.NoError(t, s.UnreadRune())
	line, err = s.ReadLine()
	require.NoError(t, err)
	require.Empty(t, line)
	require.Equal(t, 3, s.Buffered())
}

func TestReadLineTooLong(t *testing.T) {
	const bound = 50
	for _, maxString := range []int{8, 4096} {
		s, peer := inputPair(t, Stream)
		sized(s, maxString, bound)
		atOnce(s)
		fits, long := strings.Repeat("x", bound), strings.Repeat("y", bound+1)
		put(t, peer, fits+"\n"+long+"\n"+fits[1:]+"\r\n"+long)
		line, err := s.ReadLine()
		require.NoError(t, err)
		require.Equal(t, fits, line)
		for range 2 {
			line, err = s.ReadLine()
			require.ErrorIs(t, err, unix.EMSGSIZE)
			require.ErrorContains(t, err, "50 bytes")
			require.Empty(t, line)
		}
		line, err = s.ReadLineMax(bound + 1)
		require.NoError(t, err, "nothing of it was lost")
		require.Equal(t, long, line)
		line, err = s.ReadLine()
		require.NoError(t, err)
		require.Equal(t, fits[1:], line)
		_, err = s.ReadLine()
		require.ErrorIs(t, err, unix.EMSGSIZE, "without waiting for its end")
		all, err := s.ReadString()
		require.NoError(t, err)
		require.Equal(t, long, all)
	}
	s, _ := inputPair(t, Stream)
	for _, bad := range []int{0, -1, 1<<28 + 1} {
		_, err := s.ReadLineMax(bad)
		require.ErrorIs(t, err, unix.EINVAL)
	}
}

// The buffer grows at most to twice the bound, whatever the peer sends.
func TestReadLineGrowthIsBounded(t *testing.T) {
	s, peer := inputPair(t, Stream)
	flood := make(chan struct{})
	go func() {
		defer close(flood)
		peer.Write(make([]byte, 8<<20))
	}()
	_, err := s.ReadLine()
	require.ErrorIs(t, err, unix.EMSGSIZE)
	in := s.core.input.Load()
	require.LessOrEqual(t, blockSize(in.class), 2*defaultMaxLine+headroom)
	require.Greater(t, s.Buffered(), defaultMaxLine)
	require.NoError(t, s.Close())
	<-flood
}

func TestFread(t *testing.T) {
	s, peer := inputPair(t, Stream)
	buf := make([]byte, 4)
	n, err := s.Fread(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = atOnce(s).Fread(buf)
	requireTimeout(t, err)
	put(t, peer, "abcdefgh")
	requireRune(t, s, 'a')
	put(t, peer, "kernel")
	for _, want := range []string{"bcde", "fgh", "kern", "el"} { // no result joins the buffer and the kernel's data
		n, err = s.Fread(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
	s.core.owed.Store(uint32(unix.ECONNRESET))
	_, err = s.Fread(buf)
	require.ErrorIs(t, err, unix.ECONNRESET)
	peer.Close()
	_, err = s.Fread(buf)
	require.Equal(t, io.EOF, err)
	require.NoError(t, s.Close())
	_, err = s.Fread(buf)
	require.ErrorIs(t, err, unix.EBADF)
}

func TestWriteText(t *testing.T) {
	s, peer := inputPair(t, SeqPacket) // each call's output arrives as one message
	n, err := s.WriteRune('€')
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = s.WriteString("abc\n")
	require.NoError(t, err)
	require.Equal(t, 4, n)
	n, err = s.WriteLine("line")
	require.NoError(t, err)
	require.Equal(t, 5, n)
	n, err = s.WriteLine("")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = s.Fwrite([]byte("bytes"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	buf := make([]byte, 100)
	for _, want := range []string{"€", "abc\n", "line\n", "\n", "bytes"} {
		n, err := peer.Recv(buf, 0)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
	for _, bad := range []rune{0xD800, 0x110000, -1} {
		n, err := s.WriteRune(bad)
		require.ErrorIs(t, err, unix.EILSEQ)
		require.Zero(t, n)
	}
	_, err = atOnce(peer).Recv(buf, 0)
	requireTimeout(t, err)
	s.Close()
	_, err = s.WriteLine("x")
	require.ErrorIs(t, err, unix.EBADF)
}

// referenceSubpart returns a maximal subpart by means of package utf8, which has no such
// notion: it returns the longest prefix that utf8 does not call a full rune.
func referenceSubpart(p []byte) (size int, full bool) {
	if r, size := utf8.DecodeRune(p); r != utf8.RuneError || size != 1 {
		return size, true
	}
	for size = min(3, len(p)); size > 1; size-- {
		if !utf8.FullRune(p[:size]) {
			return size, false
		}
	}
	return 1, false
}

func FuzzDecodeRune(f *testing.F) {
	for _, seed := range []string{"a", "é", "€", "😀", "\xE2\x82", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF0\x9F\x98A", "\uFFFD", "\xFF"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) == 0 {
			return
		}
		r, size, is := decodeRune(p)
		wantSize, full := referenceSubpart(p)
		require.Equal(t, wantSize, size)
		require.Equal(t, full, is == complete)
		require.Equal(t, !utf8.FullRune(p), is == incomplete)
		if full {
			want, _ := utf8.DecodeRune(p)
			require.Equal(t, want, r)
		}
	})
}

// The test has all pairs of bytes and possible continuations, because fuzzing may miss
// some.
func TestDecodeRuneThoroughly(t *testing.T) {
	tails := []string{"", "\x7F", "\x80", "\xBF", "\xC0", "\x80\x80", "\xBF\xBF", "\x80A"}
	for i := range 1 << 16 {
		for _, tail := range tails {
			p := append([]byte{byte(i >> 8), byte(i)}, tail...)
			r, size, is := decodeRune(p)
			wantSize, full := referenceSubpart(p)
			want, _ := utf8.DecodeRune(p)
			if size != wantSize || full != (is == complete) || full && r != want || (is == incomplete) == utf8.FullRune(p) {
				t.Fatalf("% X: U+%04X, %d, %v", p, r, size, is)
			}
		}
	}
}

// The bytes may have any value and arrive in any pieces, and any methods may read them in
// turn. The outcomes are those of the whole stream: no byte is lost or comes twice.
func TestAnyMethodsInTurn(t *testing.T) {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "\n", "\r\n", "é", "€", "😀", "\xE2\x82", "\xC0\x80", "\xF0\x9F\x98", "\xFF"}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		stream := strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "stream"), "")
		s, peer, err := Pair(Unix, Stream, 0)
		require.NoError(t, err)
		defer s.Close()
		sized(s, rapid.SampledFrom([]int{1, 3, 5, 16, 64, 4096}).Draw(t, "maxstring"), 1<<20)
		cuts := rapid.SliceOfN(rapid.IntRange(1, 30), 1, 10).Draw(t, "cuts")
		written := make(chan struct{})
		go func() {
			defer close(written)
			defer peer.Close()
			for i, rest := 0, stream; rest != ""; i++ {
				n := min(cuts[i%len(cuts)], len(rest))
				if _, err := peer.WriteString(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		defer func() { s.Close(); <-written }()

		left, last := stream, ""
		prefix := func(got string, atMost int) {
			require.True(t, strings.HasPrefix(left, got), "%q, not of %q", got, left)
			require.Equal(t, left == "", got == "")
			require.LessOrEqual(t, len(got), atMost)
			left = left[len(got):]
		}
		pushedBack := false
		for done := false; !done; {
			switch rapid.IntRange(0, 5).Draw(t, "method") {
			case 0, 1:
				r, size, err := s.ReadRune()
				if left == "" {
					require.Equal(t, io.EOF, err)
					done = true
					break
				}
				wantSize, full := referenceSubpart([]byte(left))
				require.Equal(t, wantSize, size)
				if full {
					want, _ := utf8.DecodeRuneInString(left)
					require.NoError(t, err)
					require.Equal(t, want, r)
					last = left[:size]
				} else {
					require.ErrorIs(t, err, unix.EILSEQ)
				}
				pushedBack = false
				left = left[size:]
			case 2:
				buf := make([]byte, rapid.IntRange(1, 20).Draw(t, "length"))
				n, err := s.Fread(buf)
				require.Equal(t, left == "", err == io.EOF)
				if pushedBack && n < len(last) {
					last = ""
				}
				prefix(string(buf[:n]), len(buf))
				pushedBack = false
			case 3:
				all, err := s.ReadString()
				require.Equal(t, left == "", err == io.EOF)
				prefix(all, 1<<20)
				pushedBack = false
			case 4:
				line, err := s.ReadLine()
				require.Equal(t, left == "", err == io.EOF)
				want, rest, found := strings.Cut(left, "\n")
				if found {
					want = strings.TrimSuffix(want, "\r")
				}
				require.Equal(t, want, line)
				left, pushedBack = rest, false
			case 5:
				err := s.UnreadRune()
				require.Equal(t, last != "", err == nil)
				if err == nil && !pushedBack {
					left, pushedBack = last+left, true
				}
			}
			require.Equal(t, pushedBack, s.CharInBuffer())
			require.LessOrEqual(t, s.Buffered(), len(left))
		}
		require.Zero(t, s.Buffered())
	})
}

// On a datagram socket whose read side is shut, every call returns the end, and none
// returns a character.
func TestTextAfterShutdownOfDatagrams(t *testing.T) {
	u, v := udpPair(t)
	require.NoError(t, u.ConnectAddr(v.LocalAddr()))
	pair, _ := inputPair(t, Dgram)
	for name, s := range map[string]*Socket{"inet": u, "unix": pair} {
		require.NoError(t, s.Shutdown(unix.SHUT_RD))
		for range 2 {
			for method, read := range map[string]func() error{
				"ReadRune":   func() error { _, _, err := s.ReadRune(); return err },
				"ReadLine":   func() error { _, err := s.ReadLine(); return err },
				"ReadString": func() error { _, err := s.ReadString(); return err },
				"Peek":       func() error { _, err := s.Peek(1); return err },
			} {
				result := make(chan error, 1)
				go func() { result <- read() }()
				require.Equal(t, io.EOF, soon(t, result), name+" "+method)
			}
		}
	}
}

// An empty message is not the end while another message is queued behind it, even if no
// more can arrive.
func TestTextOfAnEmptyMessageBeforeOthers(t *testing.T) {
	for method, read := range map[string]func(*Socket) (string, error){
		"ReadString": (*Socket).ReadString,
		"ReadLine":   func(s *Socket) (string, error) { return s.ReadLine() },
	} {
		s, peer := inputPair(t, SeqPacket)
		for _, text := range []string{"", "data"} {
			_, err := peer.Send([]byte(text), 0)
			require.NoError(t, err)
		}
		require.NoError(t, peer.Close())
		for _, want := range []string{"", "data"} {
			require.False(t, s.EOF(), method)
			text, err := read(s)
			require.NoError(t, err, method)
			require.Equal(t, want, text)
		}
		_, err := read(s)
		require.Equal(t, io.EOF, err)
	}
	s, peer := inputPair(t, SeqPacket)
	_, err := peer.Send([]byte{}, 0)
	require.NoError(t, err)
	put(t, peer, "x")
	require.NoError(t, peer.Close())
	requireRune(t, s, 'x')
}
