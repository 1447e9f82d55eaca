package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// statementTimeout bounds a statement with all its tries, whatever the context of its
// caller is: a connection that neither answers nor breaks holds up no caller for longer.
// A call of many rows takes many statements. Each of them has this time, so that neither a
// far server nor the number of rows ends a call.
const statementTimeout = 10 * time.Second

// errNoAnswer is the cause of the end of a paced context whose last statement took too long.
var errNoAnswer = errors.New("no answer in time")

type paceKey struct{}

// paced returns a context for the statements of one call. It ends with ctx, or once
// statementTimeout has passed since the call began its last statement (next).
func (m *MySQL) paced(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(m.timeout, func() { cancel(errNoAnswer) })
	return context.WithValue(ctx, paceKey{}, timer), func() {
		timer.Stop()
		cancel(context.Canceled)
	}
}

// next begins a further statement of the call that ctx was paced for.
func (m *MySQL) next(ctx context.Context) {
	if timer, ok := ctx.Value(paceKey{}).(*time.Timer); ok {
		timer.Reset(m.timeout)
	}
}

// nameTimeout turns the end of a statement's time into ErrUnavailable: the server did not answer in
// time, and the caller's context has not ended.
func (m *MySQL) nameTimeout(ctx context.Context, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), errNoAnswer) || errors.Is(err, errSplit) {
		return err
	}
	return fmt.Errorf("%w: no answer within %s, the outcome is unknown: %v", task.ErrUnavailable, m.timeout, err)
}
