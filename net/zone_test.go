package net_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A name of the hosts file keeps its address's zone in every function that takes a name.
// Both packages try the same address, and name it in the error if they cannot reach it.
// The test runs itself in a mount namespace, where it has its own hosts file.
func TestNamesKeepTheirZones(t *testing.T) {
	const child = "WEIR_TEST_NET_HOSTS"
	if hosts := os.Getenv(child); hosts != "" {
		if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
			t.Skipf("skipped: mounting a hosts file: %v", err)
		}
		uses := map[string]func(f face) error{
			"Dial tcp":  func(f face) error { return dials(f, "tcp") },
			"Dial tcp6": func(f face) error { return dials(f, "tcp6") },
			"Dial udp":  func(f face) error { return dials(f, "udp") },
			"Listen": func(f face) error {
				l, err := f.Listen("tcp", "zoned.test:0")
				if err == nil {
					l.Close()
				}
				return err
			},
			"ListenPacket": func(f face) error {
				c, err := f.ListenPacket("udp", "zoned.test:0")
				if err == nil {
					c.Close()
				}
				return err
			},
		}
		for name, use := range uses {
			want, got := use(faces[0]), use(faces[1])
			require.Equal(t, describe(want), describe(got), name)
			if want != nil {
				require.ErrorContains(t, want, "fe80::77%lo", name)
			}
		}
		return
	}
	hosts := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, os.WriteFile(hosts, []byte("fe80::77%lo zoned.test\n"), 0o600))
	inMountNamespace(t, child+"="+hosts, "GODEBUG=netdns=go")
}

func dials(f face, network string) error {
	var c net.Conn
	c, err := f.DialTimeout(network, "zoned.test:9", time.Minute)
	if err == nil {
		c.Close()
	}
	return err
}
