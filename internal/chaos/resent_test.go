package chaos

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// tcpPacket returns a packet of IPv4 and TCP, without checksums.
func tcpPacket(flags byte, seq, ack uint32, payload string) []byte {
	p := make([]byte, 40, 40+len(payload))
	p[0], p[9] = 0x45, 6
	copy(p[12:], []byte{10, 90, 0, 1, 10, 90, 0, 2})
	binary.BigEndian.PutUint16(p[20:], 1000)
	binary.BigEndian.PutUint16(p[22:], 2000)
	binary.BigEndian.PutUint32(p[24:], seq)
	binary.BigEndian.PutUint32(p[28:], ack)
	p[32], p[33] = 5<<4, flags
	return append(p, payload...)
}

// What TCP sends again is the same segment, though it may acknowledge more and have another
// length. What follows in the stream is another one.
func TestMemory(t *testing.T) {
	const fin, syn, push, ack = 1, 2, 8, 16
	for _, c := range []struct {
		name          string
		before, again []byte
		harmed        bool
	}{
		{"data with a newer acknowledgement", tcpPacket(ack, 100, 7, "data"), tcpPacket(ack|push, 100, 9, "data and more"), false},
		{"later data", tcpPacket(ack, 100, 7, "data"), tcpPacket(ack, 104, 7, "more"), true},
		{"the beginning", tcpPacket(syn, 100, 0, ""), tcpPacket(syn, 100, 0, ""), false},
		{"the end", tcpPacket(fin|ack, 100, 7, ""), tcpPacket(fin|ack, 100, 8, ""), false},
		{"an acknowledgement", tcpPacket(ack, 100, 7, ""), tcpPacket(ack, 100, 7, ""), false},
		{"a newer acknowledgement", tcpPacket(ack, 100, 7, ""), tcpPacket(ack, 100, 8, ""), true},
		{"an acknowledgement, then data", tcpPacket(ack, 100, 7, ""), tcpPacket(ack, 100, 7, "data"), true},
		{"not TCP", []byte("a packet of something else"), []byte("a packet of something else"), true},
		{"cut short", tcpPacket(ack, 100, 7, "")[:39], tcpPacket(ack, 100, 7, "")[:39], true},
		{"empty", nil, nil, true},
	} {
		var m memory
		require.True(t, m.first(c.before), c.name)
		require.Equal(t, c.harmed, m.first(c.again), c.name)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for seq := range uint32(3 * mostRemembered) {
		require.True(t, m.first(tcpPacket(16, seq, 0, "x")))
	}
	require.Len(t, m.known, mostRemembered)
	require.False(t, m.first(tcpPacket(16, 3*mostRemembered-1, 0, "x")), "the latest is known")
	require.True(t, m.first(tcpPacket(16, 0, 0, "x")), "the first is forgotten")
}

// A line that harms each segment delivers it the second time, whatever the harm is.
func TestNothingIsHarmedTwice(t *testing.T) {
	for name, f := range map[string]Faults{
		"lost":      {Lose: 1},
		"corrupted": {Corrupt: 1},
		"cut off":   {CutEvery: 2 * time.Hour, CutFor: 2*time.Hour - 1},
	} {
		t.Run(name, func(t *testing.T) {
			in, from := packets(t)
			to, out := packets(t)
			b := &Bridge{faults: f, start: time.Now().Add(-time.Minute)}
			b.ends.Go(func() { b.pump(from, to, rand.New(rand.NewPCG(1, 2))) })
			segment := tcpPacket(16, 100, 7, "data")
			for range 2 {
				_, err := in.Write(segment)
				require.NoError(t, err)
			}
			in.Close() // pump then ends
			b.ends.Wait()
			to.Close()
			whole := 0
			for buf := make([]byte, mtu); ; {
				n, err := out.Read(buf)
				if n == 0 || err != nil {
					break
				}
				if string(buf[:n]) == string(segment) {
					whole++
				}
			}
			require.Equal(t, 1, whole)
		})
	}
}

// packets returns two files that are connected to each other and keep packets apart.
func packets(t *testing.T) (a, b *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
