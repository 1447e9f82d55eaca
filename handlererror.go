package triggerhook

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/verdict"
)

// Snooze returns an error by which a Handler postpones its task: it is offered again after d (at once if d is not
// positive), and the attempt does not count. Attempt is the same next time, and Options.MaxAttempts ends no task that is
// only snoozed. If Redis loses its data meanwhile, a snooze of less than Options.Window may end early.
//
// The error may be wrapped (fmt.Errorf with %w, errors.Join). If an error has several of Snooze, Discard and RetryAfter in
// it, the one counts that errors.As finds first.
func Snooze(d time.Duration) error { return &verdict.Verdict{Act: verdict.Snooze, Delay: d} }

// Snoozed reports whether err, which a Handler returned, postpones its task by Snooze. Middleware and hooks tell that from a failure by it.
func Snoozed(err error) bool { return verdict.Of(err).Act == verdict.Snooze }

// Discard returns an error by which a Handler gives its task up: the task becomes a dead letter at once, however many
// attempts are left. The dead letter has the text of the error that the Handler returned, which ends in reason if
// that error is this one. It may be wrapped, as with Snooze.
func Discard(reason string) error { return &verdict.Verdict{Act: verdict.Discard, Reason: reason} }

// Discarded reports whether err, which a Handler returned, gives its task up by Discard.
func Discarded(err error) bool { return verdict.Of(err).Act == verdict.Discard }

// Gone reports whether err, which a Handler returned, is no failure, because its task was done, deleted or moved meanwhile: err matches
// ErrGone, or ErrGone is the cause of the end of ctx, the Handler's context. Handle logs it at Info, and no hook is told of a
// failure. Gone of a nil error is false.
func Gone(ctx context.Context, err error) bool { return verdict.Gone(ctx, err) }

// RetryAfter returns an error by which a Handler that failed chooses the delay itself, as after an answer of HTTP with
// Retry-After: the attempt counts, and the task is offered again after d (at once if d is not positive) and not after what
// Options.Retry says. It may be wrapped, as with Snooze.
func RetryAfter(d time.Duration) error {
	return &verdict.Verdict{Act: verdict.RetryAfter, Delay: d}
}
