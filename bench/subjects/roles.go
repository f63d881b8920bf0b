package subjects

import (
	"github.com/seed-2334f180/weir/bench/child"
)

// Roles are the servers of the subjects, and what else a subject does in a process.
var Roles = map[string]child.Role{
	"echo-server":     serving("echo", func(s Subject) ServeFunc { return s.ServeEcho }),
	"pipeline-server": serving("pipeline", func(s Subject) ServeFunc { return s.ServePipeline }),
	"tls-server":      serving("tls", func(s Subject) ServeFunc { return s.ServeTLS }),
	"flood-server":    serving("flood", func(s Subject) ServeFunc { return s.ServeFlood }),
	"udp-server":      serving("udp", func(s Subject) ServeFunc { return s.ServeUDP }),
	"ordinary-server": child.Ordered(serveOrdinary),
	"wait":            child.Ordered(measureWaits),
	"receive":         child.Ordered(measureReceives),
}
