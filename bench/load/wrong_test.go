package load

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/stretchr/testify/require"
)

func TestWrongServersAreNoticed(t *testing.T) {
	for _, c := range []struct {
		subject, kind string
		conns, burst  int
		why           string
	}{
		{"corrupt", "echo", 1, 1, "echo-load: connection 0, message 5: byte 127 came back as"},
		{"forgetful", "echo", 3, 1, "echo-load: 3 of 3 got no answer within 200ms"},
		{"babbling", "echo", 1, 1, "echo-load: connection 0, message 5: 129 bytes came back of 128 that were sent"},
		{"unframed", "pipeline", 1, 16, "echo-load: connection 0, message 1: byte 4 came back as 0x51, not 0x41"},
		{"hasty", "echo", 1, 1, "echo-load: connection 0, message 2: "},
		{"hoarding", "churn", 2, 1, "churn-load: within 200ms the server did not close "},
		{"corrupt", "udp", 1, 4, "udp-load: client 0: byte 127 came back as"},
		{"forgetful", "udp", 2, 4, "udp-load: 8 of 8 got no answer within 200ms"},
		{"babbling", "udp", 1, 4, "udp-load: client 0: 128 bytes were sent and 129 came back"},
		{"duplicating", "udp", 1, 4, "udp-load: client 0: a datagram came that nobody waits for"},
	} {
		t.Run(c.subject+" "+c.kind, func(t *testing.T) {
			roles := map[string][2]string{
				"echo":     {"echo-server", "echo-load"},
				"pipeline": {"pipeline-server", "echo-load"},
				"churn":    {"echo-server", "churn-load"},
				"udp":      {"udp-server", "udp-load"},
			}[c.kind]
			server, addr, err := subjects.StartServer(benchtest.Context(t), alone, roles[0], subjects.Order{Subject: c.subject, Size: 128})
			require.NoError(t, err)
			defer server.Stop() //nolint:errcheck // not what is tested
			_, err = child.Ask[Result](benchtest.Context(t), alone, roles[1], Order{
				Addr: addr, ServerPID: server.Pid(),
				Conns: c.conns, Size: 128, Burst: c.burst, Framed: c.kind == "pipeline",
				WarmUp: time.Millisecond, Window: 100 * time.Millisecond, Patience: 200 * time.Millisecond,
			})
			require.ErrorContains(t, err, c.why)
		})
	}
	benchtest.NoChildren(t)
}
