//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// armed is where this process is to die, and at which visit.
var armed, visit = parse(os.Getenv(Env))

var visits atomic.Int64

func parse(text string) (point string, visit int64) {
	point, nth, counted := strings.Cut(text, ":")
	if !counted {
		return point, 1
	}
	visit, err := strconv.ParseInt(nth, 10, 64)
	if err != nil {
		panic(Env + "=" + text + ": " + err.Error())
	}
	return point, visit
}

// Hit kills this process if it is the point and the visit that Env names.
func Hit(point string) {
	if point != armed || visits.Add(1) != visit {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // cannot fail: it is this process
	select {}                                      // not one step further
}
