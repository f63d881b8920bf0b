package net_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inMountNamespace runs the test t in a child process that has a mount namespace of its
// own, with more environment variables.
func inMountNamespace(t *testing.T, env ...string) {
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		t.Skipf("skipped: a mount namespace of its own: %v", err)
	}
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}

// A wildcard listener serves both families in a process that sees no /proc, such as one
// in a bare chroot.
func TestWildcardListenerWithoutProc(t *testing.T) {
	machine.NeedIPv6(t)
	const child = "WEIR_TEST_NET_WITHOUT_PROC"
	if empty := os.Getenv(child); empty == "" {
		inMountNamespace(t, child+"="+t.TempDir())
		return
	} else if err := unix.Mount(empty, "/proc", "", unix.MS_BIND, ""); err != nil {
		t.Skipf("skipped: mounting a directory over /proc: %v", err)
	}
	require.NoFileExists(t, "/proc/net/if_inet6")
	onFaces(t, func(t *testing.T, f face) {
		for _, network := range []string{"tcp", "udp"} {
			var at net.Addr
			if network == "tcp" {
				l, err := f.Listen(network, ":0")
				require.NoError(t, err)
				defer l.Close()
				at = l.Addr()
			} else {
				c, err := f.ListenPacket(network, ":0")
				require.NoError(t, err)
				defer c.Close()
				at = c.LocalAddr()
			}
			host, port, err := net.SplitHostPort(fmt.Sprint(at))
			require.NoError(t, err)
			require.Equal(t, "::", host)
			for _, host := range []string{"127.0.0.1", "::1"} {
				c, err := f.Dial(network, net.JoinHostPort(host, port))
				require.NoError(t, err)
				c.Close()
			}
		}
	})
}
