package triggerhook

import (
	"context"

	"github.com/triggerhook/triggerhook/task"
)

// Once stands for a background role, and does one round of it if s is elected.
func (s *Scheduler) Once(ctx context.Context, role task.Role) (held bool, err error) {
	return s.elector.Once(ctx, role)
}
