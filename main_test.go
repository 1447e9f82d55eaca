package triggerhook_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testserver.Closing(m), goleak.IgnoreAnyFunction(testserver.Goroutines))
}
