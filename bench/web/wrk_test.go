package web

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatWrkSays(t *testing.T) {
	line := `{"Requests": 100, "Bytes": 20000, "Micros": 1000000, "Errors": "", "P50": 10, "P99": 20, "P999": 30}`
	got, err := parseWrk([]byte("Running 1s test\n"+line+"\n"), 128)
	require.NoError(t, err)
	require.Equal(t, int64(100), got.Requests)
	require.Equal(t, time.Second, got.Elapsed)
	require.Equal(t, 20*time.Microsecond, got.P99)
	require.Equal(t, 30*time.Microsecond, got.P999)

	for _, c := range []struct{ said, why string }{
		{"unable to connect", `wrk printed no result: "unable to connect"`},
		{"{", "wrk: unexpected EOF"},
		{`{"Requests": 100, "Bytes": 20000, "Micros": 1, "Errors": "3 by read"}`, "wrk: requests failed: 3 by read"},
		{`{"Requests": 0, "Micros": 1}`, "wrk: no answer came"},
		{`{"Requests": 100, "Bytes": 300, "Micros": 1}`, "wrk: 100 answers of 128 bytes had 300 bytes in all"},
	} {
		_, err := parseWrk([]byte(c.said), 128)
		require.EqualError(t, err, c.why)
	}
}

func TestWrkHasTimeForItsHandshakes(t *testing.T) {
	v := Visit{Window: 300 * time.Millisecond, Conns: 1000}
	require.Equal(t, 1, v.seconds())
	v.TLS = true
	require.Equal(t, 5, v.seconds())
}
