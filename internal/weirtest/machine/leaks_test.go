package machine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A goroutine that ends late is no leak, and one that stays is named.
func TestLeaks(t *testing.T) {
	end := make(chan struct{})
	stays := func() { <-end }
	go stays()
	require.ErrorContains(t, leaks(0), "TestLeaks")
	time.AfterFunc(time.Second, func() { close(end) })
	require.NoError(t, leaks(leakPatience))
}
