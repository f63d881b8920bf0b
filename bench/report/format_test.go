//go:build linux

package report

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormats(t *testing.T) {
	require.Equal(t, "1,234,567", Grouped(1234567.4))
	require.Equal(t, "999", Grouped(999))
	require.Equal(t, "3.14", Decimals(2)(3.14159))
	require.Equal(t, "3.1", Decimals(0)(3.14159))
	require.Equal(t, "31", Decimals(0)(31.4159))
	require.Equal(t, "31,416", Decimals(2)(31415.9))
	require.Equal(t, "1 byte", Bytes(1))
	require.Equal(t, "64 KiB", Bytes(64<<10))
	require.Equal(t, "1025 bytes", Bytes(1025))
}
