package builtins

import (
	"os"
	"os/signal"
)

// OnSignal calls interrupt with the first of the signals that comes, on a goroutine of
// its own. A second one does what the signal does by default: it ends the process. So a
// program that does not react to the first Ctrl-C can still be ended. stop ends the wait
// for the signal, and returns when no call of interrupt is in progress.
func OnSignal(interrupt func(os.Signal), signals ...os.Signal) (stop func()) {
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, signals...)
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-arrived:
			signal.Stop(arrived)
			interrupt(s)
		case <-stopped:
			signal.Stop(arrived)
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}
