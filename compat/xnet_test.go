package compat

import (
	"net"
	"testing"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
)

// x/net's PacketConn reads with control messages by ReadBatch from any connection
// that has SyscallConn and ReadMsgUDP; its ReadFrom asks for the standard types.
func TestXNetControlMessages(t *testing.T) {
	open := func(t *testing.T) net.PacketConn {
		c, err := weirnet.ListenPacket("udp4", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	t.Run("ReadBatch", func(t *testing.T) {
		c := open(t)
		p := ipv4.NewPacketConn(c)
		require.NoError(t, p.SetControlMessage(ipv4.FlagTTL|ipv4.FlagDst, true))
		sent := []ipv4.Message{{Buffers: [][]byte{[]byte("one")}, Addr: c.LocalAddr()}, {Buffers: [][]byte{[]byte("two")}, Addr: c.LocalAddr()}}
		n, err := p.WriteBatch(sent, 0)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		for _, want := range []string{"one", "two"} {
			got := []ipv4.Message{{Buffers: [][]byte{make([]byte, 8)}, OOB: ipv4.NewControlMessage(ipv4.FlagTTL | ipv4.FlagDst)}}
			n, err := p.ReadBatch(got, 0)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, want, string(got[0].Buffers[0][:got[0].N]))
			var cm ipv4.ControlMessage
			require.NoError(t, cm.Parse(got[0].OOB[:got[0].NN]))
			require.Positive(t, cm.TTL)
			require.Equal(t, "127.0.0.1", cm.Dst.String())
		}
	})
	t.Run("ReadFrom", func(t *testing.T) {
		c, err := weirnet.StdPacketConn(open(t))
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		p := ipv4.NewPacketConn(c)
		require.NoError(t, p.SetControlMessage(ipv4.FlagTTL, true))
		_, err = p.WriteTo([]byte("one"), nil, c.LocalAddr())
		require.NoError(t, err)
		n, cm, _, err := p.ReadFrom(make([]byte, 8))
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.Positive(t, cm.TTL)
	})
}
