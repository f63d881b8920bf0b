package loop_test

import (
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// poll(2) refuses more entries than the process may have descriptors. An Inquiry still
// asks all its questions.
func TestInquiryUnderALowLimitOfDescriptors(t *testing.T) {
	l := newLoop(t, loop.Options{})
	ready, peer := register(t, l)
	idle, _ := register(t, l)
	_, err := unix.Write(peer, []byte("x"))
	require.NoError(t, err)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = 40 // open descriptors stay open
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	var q loop.Inquiry
	const questions = 1500
	for i := range questions {
		r := ready
		if i%2 == 1 {
			r = idle
		}
		require.NoError(t, q.Add(&r.Registration, loop.Readable))
	}
	require.NoError(t, q.Ask())
	for i := range questions {
		require.Equal(t, i%2 == 0, q.Holds(i))
	}
}
