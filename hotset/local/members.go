package local

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/triggerhook/triggerhook/task"
)

// Members implements hotset.Lister. It yields one page, of one moment.
func (s *Set) Members(ctx context.Context, p int) iter.Seq2[[]task.Ref, error] {
	return func(yield func([]task.Ref, error) bool) {
		refs, err := on(ctx, s, p, "members", func(p *partition) ([]task.Ref, error) { return slices.Collect(maps.Keys(p.members)), nil })
		if err != nil && !errors.Is(err, task.ErrCold) {
			yield(nil, err)
			return
		}
		yield(refs, nil)
	}
}
