package socket

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"abc", "abd", 1},        // replaced
		{"abc", "ab", 1},         // deleted at the end
		{"abc", "bc", 1},         // and at the start
		{"abc", "xabc", 1},       // inserted at the start
		{"abc", "abxc", 1},       // and inside
		{"abc", "bac", 1},        // exchanged at the start
		{"abcd", "abdc", 1},      // and at the end
		{"abcdef", "badcfe", 3},  // exchanged three times
		{"abc", "xyz", 3},        // nothing is alike
		{"kitten", "sitting", 3}, // two replaced, one inserted
		{"ab", "bca", 3},         // what was exchanged is not changed again
		{"SO_RVCTIMEO", "SO_RCVTIMEO", 1},
	} {
		require.Equal(t, c.want, distance(c.a, c.b), "%q and %q", c.a, c.b)
		require.Equal(t, c.want, distance(c.b, c.a), "%q and %q", c.b, c.a)
	}
}

// A suggestion may differ in one character of a short name, and in two more for every
// four characters of a longer one. The most similar ones come first, three at most.
func TestNearestNames(t *testing.T) {
	require.Equal(t, 1, newNearest("abc").limit)
	require.Equal(t, 3, newNearest("abcd").limit)
	require.Equal(t, 5, newNearest("abcdefgh").limit)
	near := newNearest("abc")
	require.Empty(t, near.String())
	near.offer(2, "far")
	require.Empty(t, near.String())
	near.offer(1, "one")
	require.Equal(t, "; did you mean one?", near.String())
	for _, text := range []string{"two", "three", "four"} {
		near.offer(1, text)
	}
	near.offer(0, "same")
	require.Equal(t, "; did you mean same, or one, or two?", near.String())
}
