package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const testLimit = 1 << 20

// parseAll reads all requests of the input, which arrives in pieces. size returns how
// long each piece is.
func parseAll(in []byte, limit int, size func() int) (requests [][]string, unread int, err error) {
	p := parser{limit: limit}
	for there := 0; ; {
		args, n, err := p.next(in[:there:there], nil)
		switch {
		case err != nil:
			return requests, len(in), err
		case n > 0:
			var words []string
			for _, a := range args {
				words = append(words, string(a))
			}
			requests = append(requests, words)
			in, there = bytes.Clone(in[n:]), there-n // another place in memory
		case there == len(in):
			return requests, len(in), nil
		default:
			there = min(there+size(), len(in))
		}
	}
}

func whole() int { return 1 << 30 }

func oneByte() int { return 1 }

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		in     string
		want   [][]string
		unread int
	}{
		{in: ""},
		{in: "*1\r\n$4\r\nPING\r\n", want: [][]string{{"PING"}}},
		{in: "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", want: [][]string{{"ECHO", ""}}},
		{in: "*2\r\n$3\r\nGET\r\n$4\r\n\r\n\x00*\r\n", want: [][]string{{"GET", "\r\n\x00*"}}},
		{in: "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", want: [][]string{{"PING"}, {"QUIT"}}},
		{in: "*0\r\n*-1\r\n*1\r\n$1\r\na\r\n", want: [][]string{nil, nil, {"a"}}},
		{in: "*2\r\n$1\r\na\r\n$1\r\n", unread: 15},
		{in: "PING\r\n", want: [][]string{{"PING"}}},
		{in: "  SET\ta  b \n", want: [][]string{{"SET", "a", "b"}}},
		{in: "\r\n\n", want: [][]string{nil, nil}},
		{in: "PIN", unread: 3},
		{in: `a "b c" 'd e'` + "\n", want: [][]string{{"a", "b c", "d e"}}},
		{in: `"\x41\n\"\q" '\'\n' x"y"` + "\n", want: [][]string{{"A\n\"q", `'\n`, "xy"}}},
		{in: `"" ''` + "\n", want: [][]string{{"", ""}}},
		{in: `"\x4" "\xZZ"` + "\n", want: [][]string{{"x4", "xZZ"}}},
	} {
		t.Run(fmt.Sprintf("%q", c.in), func(t *testing.T) {
			for _, size := range []func() int{whole, oneByte} {
				got, unread, err := parseAll([]byte(c.in), testLimit, size)
				require.NoError(t, err)
				require.Equal(t, c.want, got)
				require.Equal(t, c.unread, unread)
			}
		})
	}
}

func TestProtocolErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"*x\r\n", "invalid multibulk length"},
		{"*+1\r\n", "invalid multibulk length"},
		{"*01\r\n", "invalid multibulk length"},
		{"*1048577\r\n", "invalid multibulk length"},
		{"*99999999999999999999\r\n", "invalid multibulk length"},
		{"*" + strings.Repeat("1", 21), "too big mbulk count string"},
		{"*1\r\n+OK\r\n", "expected '$', got '+'"},
		{"*1\r\n\r\n", "expected '$', got ' '"},
		{"*1\r\n$-1\r\n", "invalid bulk length"},
		{"*1\r\n$a\r\n", "invalid bulk length"},
		{"*1\r\n$1\rx", "invalid bulk length"},
		{"*1\r\n$1048577\r\n", "invalid bulk length"},
		{"*1\r\n$" + strings.Repeat("1", 21), "too big bulk count string"},
		{"*1\r\n$1048576\r\n", "the request is longer than 1048576 bytes"},
		{"*2\r\n$3\r\nGET\r\n$1048560\r\n", "the request is longer than 1048576 bytes"},
		{"*1\r\n$1\r\nab\r\n", "no CRLF after a bulk string"},
		{"\"a\r\n", "unbalanced quotes in request"},
		{"'a'b\r\n", "unbalanced quotes in request"},
		{strings.Repeat("x", maxInline+1), "too big inline request"},
		{strings.Repeat("x", maxInline+1) + "\n", "too big inline request"},
	} {
		t.Run(fmt.Sprintf("%.30q", c.in), func(t *testing.T) {
			for _, size := range []func() int{whole, oneByte} {
				_, _, err := parseAll([]byte(c.in), testLimit, size)
				require.EqualError(t, err, "Protocol error: "+c.want)
			}
		})
	}
}

// The longest request that is allowed.
func TestLongestRequest(t *testing.T) {
	head := "*1\r\n$1048560\r\n"
	in := head + strings.Repeat("x", testLimit-len(head)-2) + "\r\n"
	require.Len(t, in, testLimit)
	got, unread, err := parseAll([]byte(in), testLimit, whole)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Zero(t, unread)
}

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"7", 7, true}, {"-7", -7, true},
		{"9223372036854775807", 1<<63 - 1, true}, {"-9223372036854775808", -1 << 63, true},
		{"9223372036854775808", 0, false}, {"-9223372036854775809", 0, false},
		{"18446744073709551617", 0, false}, {"99999999999999999999", 0, false},
		{"", 0, false}, {"-", 0, false}, {"-0", 0, false}, {"+1", 0, false}, {"01", 0, false},
		{" 1", 0, false}, {"1 ", 0, false}, {"1.0", 0, false}, {"0x1", 0, false},
	} {
		n, ok := parseInt([]byte(c.in))
		require.Equal(t, c.ok, ok, c.in)
		if c.ok {
			require.Equal(t, c.want, n, c.in)
		}
	}
}

// The parser returns the same requests however the input is cut. If a request is written
// in the usual form, the parser returns the same words.
func FuzzRequests(f *testing.F) {
	for _, in := range []string{
		"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "SET a \"b\\x41\"\r\n*0\r\n", "*1\r\n$3\r\nab\r\n", "*-1\r\n$", "'\\''\n",
		"*1\r\n$99\r\n", "*9\n", "\x00\r\n",
	} {
		f.Add([]byte(in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		const limit = 512
		want, unread, wrong := parseAll(in, limit, whole)
		for _, size := range []int{1, int(piece) + 1} {
			got, left, err := parseAll(in, limit, func() int { return size })
			require.Equal(t, want, got)
			require.Equal(t, wrong, err)
			require.Equal(t, unread, left)
		}
		var again []byte
		for _, words := range want {
			again = append(again, request(words...)...)
		}
		got, left, err := parseAll(again, 10*len(again)+limit, whole)
		require.NoError(t, err)
		require.Zero(t, left)
		require.Equal(t, want, got)
	})
}

// request returns a request in the usual form.
func request(words ...string) []byte {
	b := []byte("*" + strconv.Itoa(len(words)) + "\r\n")
	for _, word := range words {
		b = append(b, "$"+strconv.Itoa(len(word))+"\r\n"+word+"\r\n"...)
	}
	return b
}
