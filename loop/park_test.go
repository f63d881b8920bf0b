package loop

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two goroutines wake each other in turn, with more or less work between. So the wake-up
// comes when the goroutine is parked, when it is about to park, and before that.
func TestPark(t *testing.T) {
	for name, procs := range map[string]int{"one P": 1, "two Ps": 2} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			const rounds = 200_000
			var ping, pong parker
			ping.init()
			pong.init()
			said := 0     // only the goroutine that was woken last uses it
			over := false // of the same
			go func() {
				for i := 0; ; i++ {
					spend(i * 7 % 64)
					ping.park()
					said++
					last := over
					pong.unpark()
					if last {
						return
					}
				}
			}()
			i := 0
			for start := time.Now(); !over; i++ {
				spend(i * 5 % 64)
				require.Equal(t, i, said)
				over = i == rounds-1 || time.Since(start) > MeetingTime
				ping.unpark()
				pong.park()
			}
			require.Equal(t, i, said)
		})
	}
}

// An unpark that comes before the park ends that park, and only one park.
func TestUnparkBeforePark(t *testing.T) {
	var p parker
	p.init()
	p.unpark()
	p.park()
	second := make(chan struct{})
	go func() {
		p.park()
		close(second)
	}()
	Until(func() bool { return parked("TestUnparkBeforePark") })
	select {
	case <-second:
		t.Fatal("an unpark counted twice")
	default:
	}
	p.unpark()
	<-second
}

// A parked goroutine continues correctly after the runtime has scanned and moved its
// stack.
func TestParkedThroughCollections(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	const goroutines = 100
	var ps [goroutines]parker
	sum := make(chan int, goroutines)
	for i := range ps {
		ps[i].init()
		go func() {
			deep(20) // grows the stack, so that the runtime shrinks it
			x := i
			kept := &x
			ps[i].park()
			sum <- *kept
		}()
	}
	Until(func() bool { return strings.Count(stacks(), "TestParkedThroughCollections") > goroutines })
	for range 5 {
		runtime.GC()
	}
	for i := range ps {
		ps[i].unpark()
	}
	total := 0
	for range ps {
		total += <-sum
	}
	require.Equal(t, goroutines*(goroutines-1)/2, total)
}

func deep(n int) byte {
	var frame [1024]byte
	frame[n] = 1
	if n > 0 {
		frame[0] = deep(n - 1)
	}
	return frame[n%2]
}

var spent int

func spend(n int) {
	x := 0
	for i := range n {
		x += i
	}
	if x < 0 {
		spent = x
	}
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// parked reports whether a goroutine of the test is in park.
func parked(test string) bool {
	for _, g := range strings.Split(stacks(), "\n\n") {
		if strings.Contains(g, test) && strings.Contains(g, "parker).park") && !strings.Contains(g, "[run") {
			return true
		}
	}
	return false
}
