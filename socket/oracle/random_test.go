package oracle

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

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
				d := compared(t, f, steps)
				if d == "" {
					return
				}
				if again := compared(t, f, steps); again != "" {
					r.Fatalf("weir and the kernel disagree:\n%s", again)
				}
				t.Logf("weir and the kernel disagreed once, and not again:\n%s", d)
			})
		})
	}
}

func compared(t *testing.T, f fixture, steps []step) string {
	return disagreement(steps, play(t, kernel{}, f, steps), play(t, weir{}, f, steps))
}

// A drawn is what the choice of the next step depends on.
type drawn struct {
	*rapid.T
	kind     kind
	peerGone bool // closed or reset
	asked    bool // a call is in the background
	sending  bool // it sends
	urgent   bool // out-of-band data was sent
}

// script draws the steps of a scenario. Timeouts are on all the time, so that
// no call hangs; and they are longer than a step takes.
func script(t *rapid.T, k kind) []step {
	d := &drawn{T: t, kind: k}
	steps := []step{rcvtimeo(soon), sndtimeo(soon)}
	for range rapid.IntRange(1, 10).Draw(t, "steps") {
		steps = append(steps, d.step()...)
		if d.asked {
			steps = append(steps, settled())
		}
	}
	if d.asked {
		steps = append(steps, finish())
	}
	return steps
}

// meanwhile is the timeout of a call in the background: longer than the steps
// that are made meanwhile, none of which waits.
const meanwhile = 400 * ms

// much is more than a unix socket takes at once.
const much = 300 << 10

// step draws one. A step that cannot be made is none.
func (d *drawn) step() []step {
	n := rapid.SampledFrom([]int{1, 3, 8, 0}).Draw(d.T, "n")
	what := rapid.SampledFrom([]string{
		"recv", "recv", "recv", "send", "send", "peer sends", "peer sends", "peer gets", "begin recv", "finish",
		"shutdown", "peer shuts", "peer closes", "peer resets", "SO_ERROR", "send much", "begin send", "peer sends OOB",
	}).Draw(d.T, "step")
	switch what {
	case "recv":
		return []step{recv(d.size(n), d.flags())}
	case "send":
		flags := rapid.SampledFrom([]int{0, 0, dontwait}).Draw(d.T, "flags")
		if d.asked {
			flags = dontwait
		}
		return []step{send(strings.Repeat("s", n), flags)}
	case "begin recv":
		if d.asked { // the kernel does not say who of two is served first
			return nil
		}
		steps := []step{rcvtimeo(meanwhile), begin(recv(d.size(n), d.flags())), rcvtimeo(soon)}
		d.asked, d.sending = true, false
		return steps
	case "begin send":
		if d.asked || d.kind != unixes { // the others do not say how much, or not block
			return nil
		}
		d.asked, d.sending = true, true
		return []step{sndtimeo(meanwhile), begin(sendN(much)), sndtimeo(soon)}
	case "send much":
		if d.asked || d.kind != unixes {
			return nil
		}
		return []step{sendN(much, rapid.SampledFrom([]int{0, dontwait}).Draw(d.T, "flags"))}
	case "finish":
		if !d.asked {
			return nil
		}
		d.asked = false
		return []step{finish()}
	case "shutdown":
		return []step{shutdown(rapid.IntRange(unix.SHUT_RD, unix.SHUT_RDWR).Draw(d.T, "how"))}
	case "SO_ERROR":
		return []step{soError()}
	}
	if d.peerGone {
		return nil
	}
	// While a send is blocked, the peer does nothing of that of which Weir is
	// known to make something else: take a part, or shut its read side.
	switch what {
	case "peer sends":
		return []step{peerTries(strings.Repeat("p", n), 0)}
	case "peer sends OOB":
		if d.kind.typ != unix.SOCK_STREAM {
			return nil
		}
		d.urgent = true
		return []step{peerTries(strings.Repeat("p", n), oob)}
	case "peer gets":
		if d.asked && d.sending {
			return nil
		}
		return []step{peerTakes(rapid.SampledFrom([]int{n, 100 << 10, much}).Draw(d.T, "size"))}
	case "peer shuts":
		if d.asked && d.sending {
			return []step{peerShutsIfItCan(unix.SHUT_WR)}
		}
		return []step{peerShutsIfItCan(rapid.IntRange(unix.SHUT_RD, unix.SHUT_RDWR).Draw(d.T, "how"))}
	case "peer closes":
		d.peerGone = true
		return []step{peerCloses()}
	case "peer resets":
		d.peerGone = true
		return []step{peerResets()}
	}
	panic(what)
}

// size is recv's. Peeking for nothing at an urgent byte of a unix socket never
// returns, in Linux 6.18.
func (d *drawn) size(n int) int {
	if d.urgent && d.kind == unixes {
		return max(n, 1)
	}
	return n
}

// flags are recv's. While another call is blocked, it does not wait.
func (d *drawn) flags() int {
	if d.asked {
		return dontwait
	}
	return rapid.SampledFrom([]int{0, 0, peek, waitall, dontwait, peek | waitall, dontwait | waitall, oob, trunc}).Draw(d.T, "flags")
}

// settled waits until the call in the background has done what it could.
func settled() step {
	return step{name: "settled", act: func(w *world, _ endpoint) string {
		time.Sleep(2 * settling)
		for range 50 {
			if len(w.calls[0].done) > 0 || w.calls[0].blocked() {
				break
			}
			time.Sleep(time.Millisecond)
		}
		return ""
	}}
}

// peerTries sends, if the state of things lets it.
func peerTries(data string, flags int) step {
	return byPeer("p", fmt.Sprintf("tries to send %q%s", data, flagNames(flags)), func(w *world, p *peer) string {
		n, errno := transfer(unix.SYS_SENDTO, p.fd, []byte(data), flags|unix.MSG_NOSIGNAL)
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
