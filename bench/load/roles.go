package load

import (
	"github.com/seed-2334f180/weir/bench/child"
)

// Roles are the load generators.
var Roles = map[string]child.Role{
	"echo-load":      generating(openStreams),
	"paced-load":     generating(openPaced),
	"tls-load":       tlsLoad(false),
	"tls-once-load":  tlsLoad(true),
	"tls-idle":       child.Ordered(tlsIdle),
	"bystander-load": generating(openBystanders),
	"churn-load":     generating(openChurn),
	"udp-load":       generating(openDatagrams),
	"busy":           child.Ordered(busy),
	"idle-load":      child.Ordered(idle),
}
