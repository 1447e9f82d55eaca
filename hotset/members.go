package hotset

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/triggerhook/triggerhook/task"
)

// Lister is what the Sets of this module have besides: they can list what they hold. A tool that compares both stores needs
// that; a worker does not.
type Lister interface {
	// Members yields the members of partition p, waiting or claimed, page by page. A member that is there from the beginning
	// to the end is yielded at least once; one that comes or goes meanwhile may be, and any may be yielded twice. The entry
	// of an orphan (task.FindOrphan) is yielded too: Find tells where each is. A partition without a generation, or with
	// one that is not current, has no members. An error ends the sequence. It changes nothing.
	Members(ctx context.Context, p int) iter.Seq2[[]task.Ref, error]
}

// membersPage is about how many members one call of a script reads.
const membersPage = 200

// Members implements Lister. It reads all that the partition holds, about 200 members in each call of a script.
func (r *Redis) Members(ctx context.Context, p int) iter.Seq2[[]task.Ref, error] {
	return func(yield func([]task.Ref, error) bool) {
		for cursor := "0"; ; {
			refs, next, err := r.membersAt(ctx, p, cursor)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(refs, nil) || next == "0" {
				return
			}
			cursor = next
		}
	}
}

// membersAt returns one page of members, and the cursor of the next one.
func (r *Redis) membersAt(ctx context.Context, p int, cursor string) (refs []task.Ref, next string, err error) {
	a, err := r.run(ctx, p, "sweep", nil, cursor, membersPage)
	if errors.Is(err, task.ErrCold) {
		return nil, "0", nil
	}
	if err != nil {
		return nil, "", err
	}
	if a.asOf.Generation == 0 {
		return nil, "0", nil
	}
	next = a.str()
	for _, m := range a.strs() {
		ref, err := parseMember(m)
		if err != nil {
			return nil, "", fmt.Errorf("members of partition %d: %w", p, err)
		}
		refs = append(refs, ref)
	}
	return refs, next, a.err
}
