package loop_test

import (
	"fmt"
	"log"
	"time"

	"github.com/seed-2334f180/weir/loop"
)

// A program asks how late the timers of its loops fire.
func ExampleGroup_Stats() {
	g, err := loop.NewGroup(2, nil, loop.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fired := make(chan struct{})
	for _, l := range g.Loops() {
		if _, err := l.AfterFunc(time.Millisecond, func() { fired <- struct{}{} }); err != nil {
			log.Fatal(err)
		}
	}
	<-fired
	<-fired
	if err := g.Close(); err != nil {
		log.Fatal(err)
	}
	s := g.Stats()
	fmt.Println(s.TimersFired, "timers have fired")
	fmt.Println("half of them were late by less than a minute:", time.Duration(s.Late.Quantile(0.5)) < time.Minute)
	// Output:
	// 2 timers have fired
	// half of them were late by less than a minute: true
}
