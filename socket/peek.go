package socket

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Peek waits, within the receive timeout, until n bytes are buffered, and
// returns them. They stay unread, and are valid until the next call that reads.
// If fewer come, Peek returns them together with the reason, such as io.EOF or
// a timeout. Messages are not joined: at most the rest of one is returned. An n
// below 0 or above 2^28 is EINVAL.
//
// A goroutine that waits in Peek holds no buffer unless something is in it.
// Peek of Buffered bytes does not wait.
func (s *Socket) Peek(n int) ([]byte, error) {
	const op = "peek"
	if n < 0 || n > greatestSize {
		return nil, invalid(op, strconv.Itoa(n), unix.EINVAL, "a size is 0 to 2^28 bytes")
	}
	var data []byte
	err := s.consume(func(in *input, now moment) bool {
		data = in.bytes()
		return len(data) >= n || !s.core.stream() && (now == afterRead || len(data) > 0)
	}, nil)
	if err != nil {
		return data, s.core.failed(op, "", err)
	}
	return data[:min(n, len(data))], nil
}

// Discard drops n of the buffered bytes, or all if there are fewer, and returns
// how many. It never waits.
func (s *Socket) Discard(n int) int {
	in := s.core.input.Load()
	if in == nil || n <= 0 {
		return 0
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	n = min(n, len(in.bytes()))
	in.take(n)
	return n
}
