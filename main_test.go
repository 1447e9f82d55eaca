package triggerhook_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testserver.Closing(m), goleak.IgnoreAnyFunction(testserver.Goroutines),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")) // it sleeps for up to a second after its pool is closed
}
