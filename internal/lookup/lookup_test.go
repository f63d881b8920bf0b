//go:build linux

package lookup

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestNetIPOfLiterals(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1": "127.0.0.1", "::1": "::1", "fe80::1%lo": "fe80::1%lo", "fe80::1": "fe80::1",
	} {
		ips, err := NetIP(t.Context(), nil, "ip", host)
		require.NoError(t, err)
		require.Equal(t, []netip.Addr{netip.MustParseAddr(want)}, ips)
	}
	_, err := NetIP(t.Context(), nil, "ip4", "fe80::1%lo")
	require.Error(t, err)
}

// The names of a hosts file keep their zones. The test runs itself in a mount namespace,
// where it has its own hosts file.
func TestNetIPKeepsZones(t *testing.T) {
	const child = "WEIR_TEST_HOSTS"
	if hosts := os.Getenv(child); hosts != "" {
		if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
			machine.Missing(t, "mounting a hosts file: %v", err)
		}
		r := &net.Resolver{PreferGo: true}
		for host, want := range map[string][]netip.Addr{
			"zoned.test": {netip.MustParseAddr("fe80::1%lo")},
			"twice.test": {netip.MustParseAddr("fe80::2%lo"), netip.MustParseAddr("fe80::2%other")},
			"both.test":  {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::3%lo")},
		} {
			ips, err := NetIP(t.Context(), r, "ip", host)
			require.NoError(t, err)
			require.ElementsMatch(t, want, ips)
		}
		ips, err := NetIP(t.Context(), r, "ip6", "both.test")
		require.NoError(t, err)
		require.Equal(t, []netip.Addr{netip.MustParseAddr("fe80::3%lo")}, ips)
		return
	}
	hosts := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, os.WriteFile(hosts, []byte("fe80::1%lo zoned.test\nfe80::2%lo twice.test\nfe80::2%other twice.test\n127.0.0.1 both.test\nfe80::3%lo both.test\n"), 0o600))
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestNetIPKeepsZones$")
	cmd.Env = append(os.Environ(), child+"="+hosts)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		machine.Missing(t, "there are no user namespaces: %v", err)
	}
	require.NoError(t, err, "%s", out)
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("skipped: %s", out)
	}
}

func TestRestore(t *testing.T) {
	ips := []netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1")}
	restore(ips, []net.IPAddr{
		{IP: net.ParseIP("127.0.0.1")}, {IP: net.ParseIP("fe80::1"), Zone: "a"}, {IP: net.ParseIP("fe80::1"), Zone: "b"},
		{IP: net.ParseIP("fe80::2"), Zone: "c"},
	})
	require.Equal(t, []netip.Addr{netip.MustParseAddr("fe80::1%a"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1%b")}, ips)
}
