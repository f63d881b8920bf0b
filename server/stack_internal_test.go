package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// frames returns the functions with their places, and not what a panic has called.
func TestFrames(t *testing.T) {
	t.Parallel()
	const stack = `goroutine 7 [running]:
runtime/debug.Stack()
	/go/src/runtime/debug/stack.go:26 +0x64
panic({0x1, 0x2})
	/go/src/runtime/panic.go:860 +0x13a
example.org/a/b.(*T).Method(0x1, {0x2, 0x3})
	/home/b/t.go:12 +0x5
example.org/a/b.f(...)
	/home/b/f.go:34
created by example.org/a.Go in goroutine 1
	/home/a/go.go:56 +0x7
`
	require.Equal(t, "b.(*T).Method (t.go:12) < b.f (f.go:34) < created by a.Go in goroutine 1 (go.go:56)", frames([]byte(stack)))

	for _, n := range []int{mostFrames, mostFrames + 1} {
		var b strings.Builder
		b.WriteString("goroutine 7 [running]:\n")
		for i := range n {
			fmt.Fprintf(&b, "a.f%d()\n\t/a/f.go:%d +0x1\n", i, i)
		}
		text := frames([]byte(b.String()))
		require.Equal(t, n > mostFrames, strings.HasSuffix(text, "< ..."), text)
		require.Equal(t, mostFrames, strings.Count(text, "f.go:"))
	}
}
