package docs

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each text in the guide's table of errors is in the code, or is one of the kernel's or of
// Go's net.
func TestErrorsOfTheGuideExist(t *testing.T) {
	known := new(strings.Builder)
	for _, dir := range []string{"server", "socket", "loop"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			known.Write(text)
		}
	}
	for errno := range syscall.Errno(200) {
		known.WriteString(errno.Error() + "\n")
	}
	_, _, err := net.SplitHostPort("localhost")
	known.WriteString(err.Error() + "\nno such host\nbind\naccept\nlookup NAME\n")

	_, section, found := strings.Cut(document(t, "docs/guide.md"), "## What an error means")
	require.True(t, found)
	rows := regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1)
	require.Greater(t, len(rows), 10)
	for _, row := range rows {
		for _, text := range inCode.FindAllStringSubmatch(row[1], -1) {
			for _, part := range regexp.MustCompile(`: | \(|\)|\.\.\.`).Split(text[1], -1) {
				require.Contains(t, known.String(), strings.TrimSpace(part), "%s", text[1])
			}
		}
	}
}
