package oracle

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var checks = flag.Int("oracle.checks", 20, "how many random scenarios run for each kind of socket")

// TestRandomScenarios makes up scripts. One on which the kernel and Weir
// disagree is reduced to the fewest steps that show it.
func TestRandomScenarios(t *testing.T) {
	flag.Set("rapid.checks", fmt.Sprint(*checks))
	for _, f := range pair(tcp, unixes, seqpacket, udp, unixgram) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(r *rapid.T) {
				steps := script(r, f.kind)
				k := play(t, kernel{}, f, steps)
				w := play(t, weir{}, f, steps)
				if d := disagreement(steps, k, w); d != "" {
					r.Fatalf("weir and the kernel disagree:\n%s", d)
				}
			})
		})
	}
}

// A drawn is what the choice of the next step depends on.
type drawn struct {
	*rapid.T
	kind     kind
	peerGone bool // closed or reset
	asked    int  // calls in the background
}

// script draws the steps of a scenario. Timeouts are on all the time, so that
// no call hangs; and they are longer than a step takes.
func script(t *rapid.T, k kind) []step {
	d := &drawn{T: t, kind: k}
	steps := []step{rcvtimeo(soon), sndtimeo(soon)}
	for range rapid.IntRange(1, 10).Draw(t, "steps") {
		if st := d.step(); st.name != "" {
			steps = append(steps, st)
		}
	}
	for range d.asked {
		steps = append(steps, finish())
	}
	return steps
}

// step draws one. A step that cannot be made is none.
func (d *drawn) step() step {
	n := rapid.SampledFrom([]int{1, 3, 8, 0}).Draw(d.T, "n")
	what := rapid.SampledFrom([]string{
		"recv", "recv", "recv", "send", "send", "peer sends", "peer sends", "peer gets", "begin recv", "finish",
		"shutdown", "peer shuts", "peer closes", "peer resets", "SO_ERROR",
	}).Draw(d.T, "step")
	switch what {
	case "recv":
		return recv(n, d.flags())
	case "send":
		return send(strings.Repeat("s", n), rapid.SampledFrom([]int{0, 0, dontwait}).Draw(d.T, "flags"))
	case "begin recv":
		if d.asked > 0 { // the kernel does not say who of two is served first
			return step{}
		}
		d.asked++
		return begin(recv(n, d.flags()))
	case "finish":
		if d.asked == 0 {
			return step{}
		}
		d.asked--
		return finish()
	case "shutdown":
		return shutdown(rapid.IntRange(unix.SHUT_RD, unix.SHUT_RDWR).Draw(d.T, "how"))
	case "SO_ERROR":
		return soError()
	}
	if d.peerGone {
		return step{}
	}
	switch what {
	case "peer sends":
		return peerTries(strings.Repeat("p", n))
	case "peer gets":
		return peerTakes(n)
	case "peer shuts":
		return peerShutsIfItCan(rapid.IntRange(unix.SHUT_RD, unix.SHUT_RDWR).Draw(d.T, "how"))
	case "peer closes":
		d.peerGone = true
		return peerCloses()
	case "peer resets":
		d.peerGone = true
		return peerResets()
	}
	panic(what)
}

func (d *drawn) flags() int {
	return rapid.SampledFrom([]int{0, 0, peek, waitall, dontwait, peek | waitall, dontwait | waitall, oob, trunc}).Draw(d.T, "flags")
}

// peerTries sends, if the state of things lets it.
func peerTries(data string) step {
	return byPeer("p", fmt.Sprintf("tries to send %q", data), func(w *world, p *peer) string {
		n, errno := transfer(unix.SYS_SENDTO, p.fd, []byte(data), unix.MSG_NOSIGNAL)
		p.settle()
		if errno != 0 {
			return "peer " + errnoName(errno)
		}
		return fmt.Sprintf("peer sent %d", n)
	})
}

// peerTakes receives what is there.
func peerTakes(n int) step {
	return byPeer("p", fmt.Sprintf("takes %d", n), func(w *world, p *peer) string {
		p.settle()
		buf := make([]byte, n)
		got, errno := transfer(unix.SYS_RECVFROM, p.fd, buf, 0)
		return "peer " + received(buf[:got], got, errno)
	})
}

func peerShutsIfItCan(how int) step {
	return byPeer("p", fmt.Sprintf("tries to shut down %d", how), func(w *world, p *peer) string {
		err := unix.Shutdown(p.fd, how)
		p.settle()
		return "peer " + errnoName(errnoOf(err))
	})
}
