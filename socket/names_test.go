package socket

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The names of interfaces are asked for again after a minute. A number that is no
// interface's is its own name.
func TestInterfaceNamesAreCached(t *testing.T) {
	const none = 1<<31 - 2 // no interface has this index
	known := func(age time.Duration) *interfaceNames {
		return &interfaceNames{
			asked:  time.Now().Add(-age),
			names:  map[uint32]string{none: "cached"},
			byName: map[string]uint32{"cached": none},
		}
	}
	c := known(time.Second)
	require.Equal(t, "cached", c.name(none))
	index, err := c.index("cached")
	require.NoError(t, err)
	require.EqualValues(t, none, index)

	c = known(2 * interfacesStale)
	require.Equal(t, "2147483646", c.name(none))
	require.Less(t, time.Since(c.asked), interfacesStale)
	require.Equal(t, "2147483646", c.name(none))
	c = known(2 * interfacesStale)
	_, err = c.index("cached")
	require.ErrorIs(t, err, unix.ENODEV)
	require.ErrorContains(t, err, `"cached"`)

	c = known(time.Second)
	for name, want := range map[string]uint32{"1": 1, "2147483647": 1<<31 - 1, "0": 0, "-1": 0, "2147483648": 0, "": 0} {
		index, err := c.index(name)
		require.Equal(t, want > 0, err == nil, "%q", name)
		require.Equal(t, want, index, "%q", name)
	}
	for index, name := range c.names {
		if index != none {
			got, err := c.index(name)
			require.NoError(t, err)
			require.Equal(t, index, got)
			require.Equal(t, name, c.name(index))
		}
	}
}

// New binds to the first address of a name that can be bound. If none can, the error is
// the first one's.
func TestNewBindsToTheFirstThatWorks(t *testing.T) {
	for i, c := range []struct {
		addresses []string
		want      string
	}{
		{[]string{"127.0.0.1", "127.0.0.2"}, "127.0.0.1"},
		{[]string{"198.51.100.1", "127.0.0.2", "127.0.0.1"}, "127.0.0.2"},
		{[]string{"198.51.100.1", "198.51.100.2"}, ""},
	} {
		s, err := Config{Address: ips(t, fmt.Sprintf("several%d.test", i), c.addresses...)}.New(Inet, Stream, 0)
		if c.want == "" {
			require.ErrorIs(t, err, unix.EADDRNOTAVAIL)
			require.ErrorContains(t, err, "198.51.100.1")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, s.LocalAddr().Host())
		require.NoError(t, s.Close())
	}
}
