//go:build linux

package machine

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResidentBytes(t *testing.T) {
	before, err := ResidentBytes(os.Getpid())
	require.NoError(t, err)
	p := make([]byte, 32<<20)
	for i := 0; i < len(p); i += 4096 {
		p[i] = 1
	}
	after, err := ResidentBytes(os.Getpid())
	require.NoError(t, err)
	runtime.KeepAlive(p)
	require.Greater(t, after-before, int64(24<<20))

	Settle()
	freed, err := ResidentBytes(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after-freed, int64(24<<20), "what is not used goes back to the kernel")
	_, err = ResidentBytes(1 << 22) // the kernel's PID_MAX_LIMIT: nobody has it
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOpenFiles(t *testing.T) {
	before, err := OpenFiles(os.Getpid())
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	after, err := OpenFiles(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, before+2, after)
}
